"""Manual pages from what a program says of itself (`PROGRAM --experimental-dump-help`), so that they and --help cannot differ.

    python3 docs/manual.py PROGRAM... --output DIR
"""
import argparse
import json
import os
import subprocess

SECTION = "8"


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in text.split("\n"))


def term(argument):
    """How an argument is written."""
    value = escape(argument.get("valueName", ""))
    if argument["kind"] == "positional":
        words = f"\\fI{value}\\fR"
    else:
        names = []
        for name in argument.get("names", []):
            names.append("\\fB" + escape(("--" if name["kind"] == "long" else "-") + name["name"]) + "\\fR")
        words = ", ".join(names) + (f" \\fI{value}\\fR" if argument["kind"] == "option" else "")
    return words + (" ..." if argument.get("isRepeating") else "")


def synopsis(path, command, shared=()):
    words = [f"\\fB{escape(' '.join(path))}\\fR"]
    if command.get("subcommands"):
        return words[0] + " \\fIcommand\\fR"
    for argument in command.get("arguments", []):
        if not argument.get("shouldDisplay", True) or term(argument) in shared:
            continue
        text = term(argument).split(", ")[-1]
        words.append(f"[{text}]" if argument.get("isOptional") else text)
    return " ".join(words)


def paragraphs(text):
    """The program's own layout is kept where it indents: examples."""
    for block in text.split("\n\n"):
        if any(line.startswith(" ") for line in block.split("\n")):
            yield ".nf\n" + escape(block) + "\n.fi"
        else:
            yield escape(" ".join(block.split("\n")))


def describe(path, command, seen):
    yield ".TP\n" + synopsis(path, command, seen)
    yield escape(command.get("abstract", ""))
    for text in paragraphs(command["discussion"]) if command.get("discussion") else ():
        yield ".IP\n" + text
    for argument in command.get("arguments", []):
        # What every command takes is told once.
        if not argument.get("shouldDisplay", True) or term(argument) in seen:
            continue
        yield ".RS\n.TP\n" + term(argument)
        help_text = argument.get("abstract", "")
        if argument.get("defaultValue") not in (None, "", "[]"):
            help_text += f" (default: {argument['defaultValue']})"
        yield escape(help_text) + "\n.RE"


def leaves(path, command):
    children = [child for child in command.get("subcommands", []) if child["commandName"] != "help"]
    if not children:
        yield path, command
    for child in children:
        yield from leaves([*path, child["commandName"]], child)


def common(commands):
    """Arguments that every one of several commands has."""
    sets = [{term(argument) for argument in command.get("arguments", [])} for _, command in commands]
    return set.intersection(*sets) if len(sets) > 1 else set()


def page(command, date):
    name = command["commandName"]
    commands = list(leaves([name], command))
    shared = common(commands)
    lines = [f".TH {name.upper()} {SECTION} {date} Apus", ".SH NAME", f"{name} \\- {escape(command.get('abstract', ''))}", ".SH SYNOPSIS", synopsis([name], command)]
    if command.get("discussion"):
        lines.append(".SH DESCRIPTION")
        lines.append("\n.PP\n".join(paragraphs(command["discussion"])))
    if shared:
        lines.append(".SH GLOBAL OPTIONS")
        for argument in commands[0][1]["arguments"]:
            if term(argument) in shared:
                lines += [".TP", term(argument), escape(argument.get("abstract", ""))]
    lines.append(".SH COMMANDS" if len(commands) > 1 else ".SH OPTIONS")
    for path, leaf in commands:
        lines += list(describe(path, leaf if len(commands) > 1 else dict(leaf, discussion=None), shared))
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("programs", nargs="+")
    parser.add_argument("--output", required=True)
    parser.add_argument("--date", default="")
    options = parser.parse_args()
    os.makedirs(options.output, exist_ok=True)
    for program in options.programs:
        text = subprocess.run([program, "--experimental-dump-help"], check=True, capture_output=True, text=True).stdout
        command = json.loads(text)["command"]
        path = os.path.join(options.output, f"{command['commandName']}.{SECTION}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(page(command, options.date or '""'))
        print(path)


if __name__ == "__main__":
    main()
