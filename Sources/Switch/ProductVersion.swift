/// Versions that tools ask for.
public enum ProductVersion {
    /// This product's.
    public static let apus = "0.1.0"
    /// What `Open_vSwitch.ovs_version` says: the release of Open vSwitch whose behaviour clients may expect. They compare it
    /// with what they need, so it cannot be our own number.
    public static let compatibleWith = "3.1.0"
}
