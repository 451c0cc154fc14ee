"""Thousands of OpenFlow messages by hand, right and wrong, to Apus and to Debian's Open vSwitch: both answer the same.

What is compared is which messages are answered by what: the kind of reply, how many flows there are, the error's type and code.
One case in APUS_ANSWERS (13 by default; 1 is all of them) is asked. Where the answers differ and are meant to, `EXPLAINED` says why.
"""
import os
import re

import pytest

from Harness.openflow_answers import Asked
from Harness.openflow_cases import VERSIONS, cases
from Harness.switch import Switch
from SystemTests.test_differential import OVS, Reference

PORTS = (1, 2, 3, 4)

pytestmark = [pytest.mark.apus, pytest.mark.skipif(not os.access(OVS, os.X_OK), reason=f"{OVS} is not installed")]

#: (versions, pattern of the case's name, why the answers differ)
ALL = VERSIONS
EXPLAINED = [
    (ALL, r"^switch \| (message|Nicira's message|ONF's message) \d+ of", "more than one thing is wrong with these, and each names another of them"),
    (ALL, r"^switch \| (multipart|Nicira's multipart) (1|2|12|16|65535) of", "likewise"),
    ((6,), r"^switch \| multipart 1[789] ", "statistics of flows alone, of controllers, of bundles: 1.5's, which the reference does not have"),
    (ALL, r"^switch \| queue", "the reference's dummy ports have a queue"),
    (ALL, r"table 254$|table-mod 254", "the reference's hidden rules are in its table 254; 1.1 has no number for its refusal"),
    ((2, 3), r"^table \| table-mod \d+ 3$", "going on to the next table and dropping at once is no configuration"),
    ((5, 6), r"^table \| table-mod property 9", "a property that is none is one of an unknown type"),
    ((2,), r"^flow \| flow command [34] table 255", "1.1 can delete from all tables"),
    (ALL, r"^flow \| flow flag 9", "an unknown flag is a flag"),
    (ALL, r"^match \| .* (too long|too short|set too long)$", "a known field of a wrong length is a length's error, not an unknown field"),
    (ALL, r"^match \| .* outside its mask$", "1.5 has an error of its own for a bad mask in an action"),
    (ALL, r"^match \| \S+ (masked|mask of ones|set masked|set to ones)$", "an all-ones mask is none; actions may mask any field"),
    (ALL, r"^match \| 1\.(40|103) ", "fields of Geneve options are not there"),
    (ALL, r"^match \| 1\.(119|12\d) ", "tracked connections' fields need nothing else matched"),
    (ALL, r"^match \| (8000\.1|8000\.60|8001\.8|8002\.0|1\.126|7\.0) ", "an unknown field is an unknown type, whatever its length"),
    (ALL, r"^match \| (8000\.(5|10|36)|0\.3) (set|load|move from)", "OpenFlow lets these be written"),
    (ALL, r"^match \| (8000\.6|8000\.21|1\.105|1\.104|0\.0) (set|load|move|push|output|copy)", "bits of the field that are always zero, or always one"),
    ((6,), r"^match \| \S+ (load|move|push|output|copy)", "1.5 has actions of its own instead, and the reference takes no others"),
    (ALL, r"^instruction \| instruction \d+ of (4|12)$", "a length that is no multiple of 8 is the instruction's error"),
    ((3, 4, 5, 6), r"^match \| match of type 0", "a type that is not OXM's is the type's error"),
    ((3, 4, 5, 6), r"^match \| match without padding", "it is the match that is too short"),
    ((2,), r"in port ff00$|packet out from ff", "a port's number that is none is the port's error"),
    (ALL, r"^action \| packet out from ff|delete what goes to f", "likewise; a filter by it selects nothing"),
    ((1,), r"to ffff$", "1.0's NONE does nothing"),
    (ALL, r"^action \| action \d+ of (4|16|24) ", "a length that fits no action; 11, 12, 26, 27 are TTL copies and PBB, which the reference does not have"),
    (ALL, r"^action \| action (11|12|25|26|27) of 8 ", "likewise"),
    (ALL, r"^action \| Nicira's action \d+ of", "more than one thing is wrong with these"),
    ((2, 3, 4, 5, 6), r"^action \| Nicira's (4|18|2[3-6]|3[01]|40) ", "1.0's forms of standard actions are taken in later versions too"),
    (ALL, r"^action \| Nicira's (35|36|43|44|46|47|48) ", "connection tracking and encapsulation are not there"),
    (ALL, r"^action \| Nicira's (19|39) ", "what goes to a controller has a length of its own"),
    (ALL, r"a vendor's action without a vendor", "the length is the action's error"),
    (ALL, r"^instruction \| instruction 6 of|an unknown meter|goto 25[45]|clear with actions|of 7$|of 0$|beyond$", "tables end at 253; 1.1 and 1.2 have no meters"),
    ((2,), r"^instruction \| instruction [125] of", "1.1 has no error for an instruction's length"),
    (ALL, r"^group \| group: (to itself|round|bucket with a bad field)", "loops are found when they are made; a type of payload can be written"),
    (ALL, r"^group \| group: (type|command|bucket|property)", "the reference takes no indirect groups of dummy ports; later versions' commands"),
    (ALL, r"^meter \| meter: (band 2|0 bands)", "bands may remark, and a meter without bands only counts"),
    ((5, 6), r"^bundle \| bundle: (control 8|flags 4|flags 65535)", "what is none of the standard's is refused"),
    (ALL, r"^packet_out \| packet-out of (nothing|5 bytes)", "a packet without a whole Ethernet header is none"),
    (ALL, r"^monitor \| ", "the reference's errors name other messages; its monitors of 1.4 and later answer none of these"),
]


@pytest.fixture(scope="module")
def pair():
    switches = [Reference(kind="ovs"), Switch(arguments=["--enable-dummy=override"])]
    asked = []
    try:
        for switch in switches:
            switch.start()
            ports = [word for number in PORTS for word in (
                "--", "add-port", "br0", f"p{number}", "--", "set", "Interface", f"p{number}", "type=dummy", f"ofport_request={number}")]
            versions = ",".join(f"OpenFlow1{number}" for number in range(6))
            switch.vsctl("add-br", "br0", "--", "set", "Bridge", "br0", "datapath-type=dummy", "fail-mode=secure", f"protocols={versions}", *ports)
            asked.append(Asked(switch.path("br0.mgmt")))
        yield asked
    finally:
        for one in asked:
            one.close()
        for switch in switches:
            switch.stop()
            switch.remove()


def explained(version, name):
    return any(version in versions and re.search(pattern, name) for versions, pattern, _ in EXPLAINED)


@pytest.mark.parametrize("version", VERSIONS, ids=[f"1.{version - 1}" for version in VERSIONS])
def test_answers_are_the_references(pair, version):
    step = int(os.environ.get("APUS_ANSWERS", "13"))
    count, differences = 0, []
    for index, (name, messages) in enumerate(cases(version)):
        if index % step:
            continue
        count += 1
        reference, ours = [asked.answers(version, messages) for asked in pair]
        if reference != ours and not explained(version, name):
            differences.append(f"{name}\n  reference {reference}\n  Apus      {ours}")
    assert not differences, f"{len(differences)} of {count} cases:\n" + "\n".join(differences[:40])
