// What a client's role allows it to change (ovsdb(7), "RBAC"): a database with a table `RBAC_Role` says so itself.
//
// A role names, for each table, a row of `RBAC_Permission`: whether rows may be inserted and deleted, which columns may be changed, and
// by whom: `authorization` names columns (or, as `COLUMN:KEY`, values of maps) of which one must hold the client's name. What is not
// allowed is refused; reading is always allowed.

/// Who asks, where rules may apply.
struct ClientRole {
    /// As the remote was given it; empty where no rules apply.
    var role = ""
    /// What the client's certificate calls it; nil for one that has shown none.
    var client: String?
}

extension Transaction {
    private func permissions(_ table: Table) -> Row? {
        guard let roles = database.schema.table("RBAC_Role"), let rules = database.schema.table("RBAC_Permission") else { return nil }
        let role = database.tables[roles.index].rows.values.first { $0["name"].strings.contains(context.client.role) }
        guard let uuid = role?["permissions"].uuidsByString[table.schema.name] else { return nil }
        return database.tables[rules.index].rows[uuid]
    }

    private func isAuthorized(_ permissions: Row, _ client: String, _ row: Row) -> Bool {
        permissions["authorization"].strings.contains { name in
            if name.isEmpty { return true }
            let parts = name.split(separator: ":", maxSplits: 1).map(String.init)
            return (parts.count == 2 ? row[parts[0]][parts[1]] : row[name].string) == client
        }
    }

    /// Refuses what the client's role does not allow.
    ///
    /// - Parameters:
    ///   - what: the operation, as the sentence for the client has it
    ///   - columns: what is to be changed; nil where rows come or go
    func checkPermission(_ what: String, _ table: Table, _ rows: [Row], columns: [ColumnSchema]?) throws(OVSDBError) {
        guard !context.client.role.isEmpty, database.schema.table("RBAC_Role") != nil else { return }
        if let client = context.client.client, let permissions = permissions(table) {
            let changeable = Set(permissions["update"].strings)
            let isAllowed = columns?.allSatisfy { changeable.contains($0.name) } ?? permissions.boolean("insert_delete")
            if rows.allSatisfy({ isAllowed && isAuthorized(permissions, client, $0) }) { return }
        }
        throw OVSDBError(
            "permission error",
            "RBAC rules for client \"\(context.client.client ?? "")\" role \"\(context.client.role)\" prohibit \(what) table \"\(table.schema.name)\"."
        )
    }
}
