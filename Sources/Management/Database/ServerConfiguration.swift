// Which databases and remotes a server has, as a file: `--config-file`, and what survives a crash under `--monitor`.
//
//     {"remotes": {"punix:db.sock": {"inactivity-probe": 10000, "read-only": true}}, "databases": {"conf.db": {"service-model": "standalone"}}}

internal import OVSDB

/// Remotes and databases, read from JSON.
struct ServerConfiguration: Equatable {
    var remotes: [String: RemoteOptions] = [:]
    /// Files, as they are named.
    var databases: [String] = []

    init(remotes: [String: RemoteOptions], databases: [String]) {
        self.remotes = remotes
        self.databases = databases
    }

    /// - Parameter origin: the file's name, for sentences
    /// - Throws: what is wrong, with the place
    init(parsing text: [UInt8], origin: String) throws(CommandError) {
        let json: JSON
        do throws(JSONSyntaxError) { json = try JSON(parsing: text) } catch { throw CommandError("\(origin): not valid JSON: \(error)") }
        guard case .object(let top) = json else {
            throw CommandError("\(origin): it must hold one JSON object with \"remotes\" and \"databases\"")
        }
        for (key, value) in top.members {
            guard key == "remotes" || key == "databases" else {
                throw CommandError("\(origin): member \"\(key)\" is not known; valid are \"remotes\" and \"databases\"")
            }
            guard case .object(let entries) = value else { throw CommandError("\(origin): \"\(key)\" must be a JSON object") }
            for (name, options) in entries.members {
                if key == "remotes" {
                    remotes[name] = try ServerConfiguration.remote(options, "\(origin): remote \(name)")
                } else {
                    try ServerConfiguration.checkDatabase(options, "\(origin): database \(name)")
                    if !databases.contains(name) { databases.append(name) }
                }
            }
        }
    }

    private static func members(_ json: JSON, _ place: String) throws(CommandError) -> [(key: String, value: JSON)] {
        if json.isNull { return [] }
        guard case .object(let object) = json else { throw CommandError("\(place): options must be a JSON object or null") }
        return object.members
    }

    private static func remote(_ json: JSON, _ place: String) throws(CommandError) -> RemoteOptions {
        var result = RemoteOptions()
        for (key, value) in try members(json, place) {
            switch (key, value) {
            case ("inactivity-probe", .integer(let number)) where number >= 0: result.probeMilliseconds = UInt64(number)
            case ("max-backoff", .integer(let number)) where number >= 0: result.maximumBackoffMilliseconds = UInt64(max(1000, number))
            case ("read-only", .boolean(let flag)): result.isReadOnly = flag
            case ("role", .string(let role)): result.role = role
            case ("dscp", .integer(let number)) where (0...63).contains(number): break
            case ("inactivity-probe", _), ("max-backoff", _), ("read-only", _), ("role", _), ("dscp", _):
                throw CommandError("\(place): \"\(key)\" cannot be \(value.text)")
            default:
                throw CommandError(
                    "\(place): option \"\(key)\" is not known; valid are inactivity-probe, max-backoff, read-only, role and dscp")
            }
        }
        return result
    }

    private static func checkDatabase(_ json: JSON, _ place: String) throws(CommandError) {
        for (key, value) in try members(json, place) {
            switch (key, value.string) {
            case ("service-model", "standalone"?): break
            case ("service-model", "active-backup"?):
                if json["backup"]?.boolean == true { throw CommandError("\(place): it cannot be a backup: replication is not supported") }
            case ("service-model", "clustered"?), ("service-model", "relay"?):
                throw CommandError("\(place): service-model \(value.text) is not supported; standalone is")
            case ("service-model", _): throw CommandError("\(place): \(value.text) is not a valid service-model; standalone is")
            case ("backup", _), ("source", _), ("exclude-tables", _): break
            default: throw CommandError("\(place): option \"\(key)\" is not known; valid is service-model")
            }
        }
    }

    /// What `init(parsing:)` reads back.
    var text: String {
        let remotes = remotes.sorted { $0.key < $1.key }.map { name, options in
            var members: [(String, JSON)] = [
                ("max-backoff", .integer(Int64(clamping: options.maximumBackoffMilliseconds))), ("read-only", .boolean(options.isReadOnly)),
                ("role", .string(options.role)),
            ]
            if let probe = options.probeMilliseconds { members.append(("inactivity-probe", .integer(Int64(clamping: probe)))) }
            return (name, JSON.object(JSONObject(members)))
        }
        let databases = databases.map { ($0, JSON.null) }
        return JSON.object(
            JSONObject([("remotes", .object(JSONObject(remotes))), ("databases", .object(JSONObject(databases)))])
        ).text
    }
}
