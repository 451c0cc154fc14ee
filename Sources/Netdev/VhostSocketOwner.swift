internal import Glibc

/// Who may connect to a socket that the switch listens on: `options:vhost-sock-owner`, `vhost-sock-group`, `vhost-sock-mode`.
enum VhostSocketOwner {
    private static let keys = ["vhost-sock-owner", "vhost-sock-group", "vhost-sock-mode"]

    static func isSame(_ one: NetdevConfiguration, _ other: NetdevConfiguration) -> Bool {
        keys.allSatisfy { one.options[$0] == other.options[$0] }
    }

    /// Permissions in octal, 0660 by default; never for everybody to write unless it says so.
    static func mode(_ configuration: NetdevConfiguration) throws(PortError) -> UInt16 {
        guard let text = configuration.options["vhost-sock-mode"] else { return 0o660 }
        guard let mode = UInt16(text, radix: 8), mode <= 0o777 else {
            throw .invalidOption(
                port: configuration.name, option: "options:vhost-sock-mode", value: text, valid: "permissions in octal, such as 0660")
        }
        return mode
    }

    /// A user's number, or UInt32.max to leave the daemon's.
    static func user(_ configuration: NetdevConfiguration) throws(PortError) -> UInt32 {
        guard let text = configuration.options["vhost-sock-owner"] else { return .max }
        if let number = UInt32(text), number != .max { return number }
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16_384)
        guard getpwnam_r(text, &entry, &buffer, buffer.count, &found) == 0, found != nil else {
            throw .invalidOption(
                port: configuration.name, option: "options:vhost-sock-owner", value: text,
                valid: "the name or number of a user of this host")
        }
        return entry.pw_uid
    }

    /// A group's number, or UInt32.max to leave the daemon's.
    static func group(_ configuration: NetdevConfiguration) throws(PortError) -> UInt32 {
        guard let text = configuration.options["vhost-sock-group"] else { return .max }
        if let number = UInt32(text), number != .max { return number }
        var entry = Glibc.group()
        var found: UnsafeMutablePointer<Glibc.group>?
        var buffer = [CChar](repeating: 0, count: 16_384)
        guard getgrnam_r(text, &entry, &buffer, buffer.count, &found) == 0, found != nil else {
            throw .invalidOption(
                port: configuration.name, option: "options:vhost-sock-group", value: text,
                valid: "the name or number of a group of this host")
        }
        return entry.gr_gid
    }
}
