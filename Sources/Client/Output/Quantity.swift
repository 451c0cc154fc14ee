// Numbers for people.

/// How quantities are written for people: three significant digits and a unit.
public enum Quantity {
    /// 999, 12.3 k, 4.56 M ...
    public static func count(_ value: Double) -> String { scaled(value, ["", " k", " M", " G", " T", " P"], 1000) }
    public static func count(_ value: Int64) -> String { value < 100_000 ? String(value) : count(Double(value)) }
    /// Bytes, in powers of 1024.
    public static func bytes(_ value: Int64) -> String { scaled(Double(value), [" B", " KiB", " MiB", " GiB", " TiB", " PiB"], 1024) }
    public static func bitsPerSecond(_ value: Double) -> String {
        scaled(value, [" bit/s", " kbit/s", " Mbit/s", " Gbit/s", " Tbit/s"], 1000)
    }
    public static func packetsPerSecond(_ value: Double) -> String { scaled(value, [" pps", " kpps", " Mpps", " Gpps"], 1000) }

    private static func scaled(_ value: Double, _ units: [String], _ step: Double) -> String {
        var rest = value
        var unit = 0
        while rest >= step && unit + 1 < units.count {
            rest /= step
            unit += 1
        }
        if unit == 0 || rest >= 100 { return String(Int(rest.rounded())) + units[unit] }
        let factor: Double = rest >= 10 ? 10 : 100
        let rounded = (rest * factor).rounded() / factor
        return "\(rounded)" + units[unit]
    }
}
