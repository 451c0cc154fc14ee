// Set algebra on values, and the differences that update2/update3 and the log file carry.

extension Datum {
    /// What turns `self` into `new`, as `monitor_cond` updates and log records with `_is_diff` carry it: for scalars and
    /// optional scalars the new value; for sets the elements in exactly one of the two; for maps the pairs to add or change with
    /// their new value, and those to remove with their old one.
    ///
    /// - Complexity: O(n + m)
    public func difference(to new: Datum, _ type: ColumnType) -> Datum {
        if type.max == 1 && !type.isMap { return new }
        if !type.isMap { return symmetricDifference(new) }
        let (oldKeys, oldValues, newKeys, newValues) = (keys, values, new.keys, new.values)
        var resultKeys: [Atom] = []
        var resultValues: [Atom] = []
        var left = 0
        var right = 0
        while left < oldKeys.count || right < newKeys.count {
            if right == newKeys.count || left < oldKeys.count && oldKeys[left] < newKeys[right] {
                resultKeys.append(oldKeys[left])
                resultValues.append(oldValues[left])
                left += 1
            } else if left == oldKeys.count || newKeys[right] < oldKeys[left] {
                resultKeys.append(newKeys[right])
                resultValues.append(newValues[right])
                right += 1
            } else {
                if oldValues[left] != newValues[right] {
                    resultKeys.append(newKeys[right])
                    resultValues.append(newValues[right])
                }
                left += 1
                right += 1
            }
        }
        return Datum(sortedKeys: resultKeys, values: resultValues)
    }

    /// Undoes `difference(to:)`: the new value.
    ///
    /// A pair whose value equals the one held is a removal; with another value it is a change.
    public func applying(difference: Datum, _ type: ColumnType) -> Datum {
        if type.max == 1 && !type.isMap { return difference }
        if !type.isMap { return symmetricDifference(difference) }
        let (oldKeys, oldValues, otherKeys, otherValues) = (keys, values, difference.keys, difference.values)
        var resultKeys: [Atom] = []
        var resultValues: [Atom] = []
        var left = 0
        var right = 0
        while left < oldKeys.count || right < otherKeys.count {
            if right == otherKeys.count || left < oldKeys.count && oldKeys[left] < otherKeys[right] {
                resultKeys.append(oldKeys[left])
                resultValues.append(oldValues[left])
                left += 1
            } else if left == oldKeys.count || otherKeys[right] < oldKeys[left] {
                resultKeys.append(otherKeys[right])
                resultValues.append(otherValues[right])
                right += 1
            } else {
                if oldValues[left] != otherValues[right] {
                    resultKeys.append(otherKeys[right])
                    resultValues.append(otherValues[right])
                }
                left += 1
                right += 1
            }
        }
        return Datum(sortedKeys: resultKeys, values: resultValues)
    }

    /// Of two sets, what only the first and what only the second has.
    ///
    /// - Complexity: O(n + m) comparisons
    func differences(_ other: Datum) -> (removed: Datum, added: Datum) {
        let (l, r) = (keys, other.keys)
        var removed: [Atom] = []
        var added: [Atom] = []
        var left = 0
        var right = 0
        while left < l.count || right < r.count {
            if right == r.count || left < l.count && l[left] < r[right] {
                removed.append(l[left])
                left += 1
            } else if left == l.count || r[right] < l[left] {
                added.append(r[right])
                right += 1
            } else {
                left += 1
                right += 1
            }
        }
        return (Datum(sortedSet: removed), Datum(sortedSet: added))
    }

    private func symmetricDifference(_ other: Datum) -> Datum {
        let (l, r) = (keys, other.keys)
        var result: [Atom] = []
        var left = 0
        var right = 0
        while left < l.count || right < r.count {
            if right == r.count || left < l.count && l[left] < r[right] {
                result.append(l[left])
                left += 1
            } else if left == l.count || r[right] < l[left] {
                result.append(r[right])
                right += 1
            } else {
                left += 1
                right += 1
            }
        }
        return Datum(sortedSet: result)
    }

    /// Elements of either; of pairs with the same key, `self`'s stays.
    ///
    /// - Complexity: O(n + m)
    public func union(_ other: Datum, _ type: ColumnType) -> Datum {
        if other.isEmpty { return self }
        if isEmpty { return other }
        let (l, lv, r, rv) = (keys, values, other.keys, other.values)
        var resultKeys: [Atom] = []
        var resultValues: [Atom] = []
        resultKeys.reserveCapacity(l.count + r.count)
        var left = 0
        var right = 0
        while left < l.count || right < r.count {
            if right == r.count || left < l.count && l[left] <= r[right] {
                if right < r.count, l[left] == r[right] { right += 1 }
                resultKeys.append(l[left])
                if type.isMap { resultValues.append(lv[left]) }
                left += 1
            } else {
                resultKeys.append(r[right])
                if type.isMap { resultValues.append(rv[right]) }
                right += 1
            }
        }
        return type.isMap ? Datum(sortedKeys: resultKeys, values: resultValues) : Datum(sortedSet: resultKeys)
    }

    /// Without the elements of `other`. For maps: without the keys of a set, or without the pairs that are equal in a map.
    ///
    /// - Complexity: O(n log m)
    public func subtracting(_ other: Datum, _ type: ColumnType) -> Datum {
        filter(type) { key, value in
            guard let index = other.position(of: key) else { return true }
            if let value, case .map(_, let values) = other.storage { return values[index] != value }
            return false
        }
    }

    /// The elements (pairs, with their value) for which `keep` holds.
    func filter(_ type: ColumnType, _ keep: (Atom, Atom?) -> Bool) -> Datum {
        switch storage {
        case .none: return self
        case .one(let atom): return keep(atom, nil) ? self : .empty
        case .many(let keys):
            let kept = keys.filter { keep($0, nil) }
            return kept.count == keys.count ? self : Datum(sortedSet: kept)
        case .map(let keys, let values):
            let kept = keys.indices.filter { keep(keys[$0], values[$0]) }
            return kept.count == keys.count ? self : Datum(sortedKeys: kept.map { keys[$0] }, values: kept.map { values[$0] })
        }
    }

    /// Whether every element (pair) of `other` is in `self`.
    public func includes(_ other: Datum) -> Bool {
        if case .map(let keys, let values) = other.storage {
            return keys.indices.allSatisfy { value(forKey: keys[$0]) == values[$0] }
        }
        var all = true
        other.forEachKey { if all && !contains($0) { all = false } }
        return all
    }

    /// Whether no element (pair) of `other` is in `self`.
    public func excludes(_ other: Datum) -> Bool {
        if case .map(let keys, let values) = other.storage {
            return !keys.indices.contains { value(forKey: keys[$0]) == values[$0] }
        }
        var none = true
        other.forEachKey { if none && contains($0) { none = false } }
        return none
    }
}
