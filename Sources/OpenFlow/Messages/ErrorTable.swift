// The numbers of the errors, one line an error, one column a version from 1.0 to 1.5.
//
// `T/C` is type and code of the standard; `N` and `O` before it mean a number in Nicira's (0x2320) or ONF's (0x4f4e4600)
// experimenter space, `-` that the version has no number for it. Sources: the error enumerations at the end of each
// specification, and the ONF and Nicira extensions.

/// Where an error's numbers are counted.
public struct ErrorNumber: Hashable, Sendable {
    /// 0 for the standard's own, else the experimenter.
    public var experimenter: UInt32
    public var type: UInt16
    public var code: UInt16
    public init(experimenter: UInt32 = 0, type: UInt16, code: UInt16) {
        self.experimenter = experimenter
        self.type = type
        self.code = code
    }
}

/// Both directions between names and numbers.
public enum ErrorTable {
    /// The number of `code` in `version`; nil if the version cannot say it.
    public static func number(of code: ErrorCode, in version: OpenFlowVersion) -> ErrorNumber? {
        numbers[code]?[Int(version.rawValue) - 1]
    }

    /// The error with this number in `version`; nil if there is none.
    public static func code(of number: ErrorNumber, in version: OpenFlowVersion) -> ErrorCode? {
        codes[Int(version.rawValue) - 1][number]
    }

    private static let numbers: [ErrorCode: [ErrorNumber?]] = {
        var result: [ErrorCode: [ErrorNumber?]] = [:]
        for line in lines.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 7, let code = ErrorCode(rawValue: String(words[0])) else {
                preconditionFailure("error table: cannot read the line \"\(line)\"")
            }
            result[code] = words.dropFirst().map(parse)
        }
        return result
    }()

    private static let codes: [[ErrorNumber: ErrorCode]] = (0..<6).map { column in
        var result: [ErrorNumber: ErrorCode] = [:]
        // In the order of the cases, so that of two names with one number the first wins.
        for code in ErrorCode.allCases {
            if let number = numbers[code]?[column], result[number] == nil { result[number] = code }
        }
        return result
    }

    private static func parse(_ cell: Substring) -> ErrorNumber? {
        if cell == "-" { return nil }
        let experimenter: UInt32 =
            switch cell.first {
            case "N": Experimenter.nicira
            case "O": Experimenter.onf
            default: 0
            }
        let parts = (experimenter == 0 ? cell : cell.dropFirst()).split(separator: "/")
        guard parts.count == 2, let type = UInt16(parts[0]), let code = UInt16(parts[1]) else {
            preconditionFailure("error table: cannot read the cell \"\(cell)\"")
        }
        return ErrorNumber(experimenter: experimenter, type: type, code: code)
    }

    private static let lines = """
        NXBAC_BAD_CONJUNCTION            N2/526  N2/526  N15/0   N15/0   N15/0   N15/0
        NXBAC_BAD_ED_PROP                -       -       -       N41/0   N41/0   N41/0
        NXBAC_BAD_HEADER_TYPE            -       -       -       N39/0   N39/0   N39/0
        NXBAC_CT_DATAPATH_SUPPORT        N1/265  N1/265  N42/0   N42/0   N42/0   N42/0
        NXBAC_MUST_BE_ZERO               N2/256  N2/256  N11/0   N11/0   N11/0   N11/0
        NXBAC_UNKNOWN_ED_PROP            -       -       -       N40/0   N40/0   N40/0
        NXBMC_CT_DATAPATH_SUPPORT        N1/264  N1/264  N43/0   N43/0   N43/0   N43/0
        NXBRC_BAD_REASON                 N1/516  N1/516  N5/0    N5/0    N5/0    N5/0
        NXBRC_FM_BAD_EVENT               N1/520  N1/520  N9/0    N9/0    N9/0    N9/0
        NXBRC_MUST_BE_ZERO               N1/515  N1/515  N4/0    N4/0    N4/0    N4/0
        NXBRC_NXM_BAD_TYPE               N1/257  N1/257  N3/0    N3/0    N3/0    N3/0
        NXBRC_NXM_INVALID                N1/256  N1/256  N2/0    N2/0    N2/0    N2/0
        NXFMFC_BAD_TABLE_ID              N5/257  N5/257  N13/0   N13/0   N13/0   N13/0
        NXFMFC_HARDWARE                  N5/256  N5/256  N12/0   N12/0   N12/0   N12/0
        NXFMFC_INVALID_TLV_FIELD         N1/536  N1/536  N37/0   N37/0   N37/0   N37/0
        NXQOFC_QUEUE_ERROR               -       -       -       -       N23/0   N23/0
        NXR_NOT_SUPPORTED                N1/533  N1/533  N34/0   N34/0   N34/0   N34/0
        NXR_STALE                        N1/534  N1/534  N35/0   N35/0   N35/0   N35/0
        NXST_NOT_CONFIGURED              N1/535  N1/535  N36/0   N36/0   N36/0   N36/0
        NXTFFC_DUP_TABLE                 -       -       -       N44/0   N44/0   N44/0
        NXTTMFC_ALREADY_MAPPED           N1/531  N1/531  N20/0   N20/0   N20/0   N20/0
        NXTTMFC_BAD_COMMAND              N1/527  N1/527  N16/0   N16/0   N16/0   N16/0
        NXTTMFC_BAD_FIELD_IDX            N1/529  N1/529  N18/0   N18/0   N18/0   N18/0
        NXTTMFC_BAD_OPT_LEN              N1/528  N1/528  N17/0   N17/0   N17/0   N17/0
        NXTTMFC_DUP_ENTRY                N1/532  N1/532  N21/0   N21/0   N21/0   N21/0
        NXTTMFC_INVALID_TLV_DEL          N1/537  N1/537  N38/0   N38/0   N38/0   N38/0
        NXTTMFC_TABLE_FULL               N1/530  N1/530  N19/0   N19/0   N19/0   N19/0
        OFPACFC_EPERM                    -       -       -       O2372/0 15/2    15/2
        OFPACFC_INVALID                  -       -       -       O2370/0 15/0    15/0
        OFPACFC_UNSUPPORTED              -       -       -       O2371/0 15/1    15/1
        OFPBAC_BAD_ARGUMENT              2/5     2/5     2/5     2/5     2/5     2/5
        OFPBAC_BAD_LEN                   2/1     2/1     2/1     2/1     2/1     2/1
        OFPBAC_BAD_METER                 -       -       -       -       -       2/17
        OFPBAC_BAD_OUT_GROUP             N2/9    2/9     2/9     2/9     2/9     2/9
        OFPBAC_BAD_OUT_PORT              2/4     2/4     2/4     2/4     2/4     2/4
        OFPBAC_BAD_QUEUE                 2/8     2/8     2/8     2/8     2/8     2/8
        OFPBAC_BAD_SET_ARGUMENT          N1/525  N1/525  2/15    2/15    2/15    2/15
        OFPBAC_BAD_SET_LEN               N1/524  N1/524  2/14    2/14    2/14    2/14
        OFPBAC_BAD_SET_MASK              -       -       -       O4250/0 O4250/0 2/16
        OFPBAC_BAD_SET_TYPE              N1/523  N1/523  2/13    2/13    2/13    2/13
        OFPBAC_BAD_TAG                   -       2/12    2/12    2/12    2/12    2/12
        OFPBAC_BAD_TYPE                  2/0     2/0     2/0     2/0     2/0     2/0
        OFPBAC_BAD_VENDOR                2/2     2/2     2/2     2/2     2/2     2/2
        OFPBAC_BAD_VENDOR_TYPE           2/3     2/3     2/3     2/3     2/3     2/3
        OFPBAC_EPERM                     2/6     2/6     2/6     2/6     2/6     2/6
        OFPBAC_MATCH_INCONSISTENT        N1/522  2/10    2/10    2/10    2/10    2/10
        OFPBAC_TOO_MANY                  2/7     2/7     2/7     2/7     2/7     2/7
        OFPBAC_UNSUPPORTED_ORDER         -       2/11    2/11    2/11    2/11    2/11
        OFPBFC_BAD_FLAGS                 -       -       -       O2307/0 17/7    17/7
        OFPBFC_BAD_ID                    -       -       -       O2302/0 17/2    17/2
        OFPBFC_BAD_TYPE                  -       -       -       O2306/0 17/6    17/6
        OFPBFC_BAD_VERSION               -       -       -       -       N22/0   N22/0
        OFPBFC_BUNDLE_CLOSED             -       -       -       O2304/0 17/4    17/4
        OFPBFC_BUNDLE_EXIST              -       -       -       O2303/0 17/3    17/3
        OFPBFC_BUNDLE_IN_PROGRESS        -       -       -       O2315/0 17/15   17/15
        OFPBFC_EPERM                     -       -       -       O2301/0 17/1    17/1
        OFPBFC_MSG_BAD_LEN               -       -       -       O2308/0 17/8    17/8
        OFPBFC_MSG_BAD_XID               -       -       -       O2309/0 17/9    17/9
        OFPBFC_MSG_CONFLICT              -       -       -       O2311/0 17/11   17/11
        OFPBFC_MSG_FAILED                -       -       -       O2313/0 17/13   17/13
        OFPBFC_MSG_TOO_MANY              -       -       -       O2312/0 17/12   17/12
        OFPBFC_MSG_UNSUP                 -       -       -       O2310/0 17/10   17/10
        OFPBFC_OUT_OF_BUNDLES            -       -       -       O2305/0 17/5    17/5
        OFPBFC_SCHED_FUTURE              -       -       -       -       -       17/17
        OFPBFC_SCHED_NOT_SUPPORTED       -       -       -       -       -       17/16
        OFPBFC_SCHED_PAST                -       -       -       -       -       17/18
        OFPBFC_TIMEOUT                   -       -       -       O2314/0 17/14   17/14
        OFPBFC_UNKNOWN                   -       -       -       O2300/0 17/0    17/0
        OFPBIC_BAD_EXPERIMENTER          -       3/5     3/5     3/5     3/5     3/5
        OFPBIC_BAD_EXP_TYPE              -       3/5     3/6     3/6     3/6     3/6
        OFPBIC_BAD_LEN                   -       -       3/7     3/7     3/7     3/7
        OFPBIC_BAD_TABLE_ID              -       3/2     3/2     3/2     3/2     3/2
        OFPBIC_DUP_INST                  -       N3/256  O2600/0 O2600/0 3/9     3/9
        OFPBIC_EPERM                     -       -       3/8     3/8     3/8     3/8
        OFPBIC_UNKNOWN_INST              -       3/0     3/0     3/0     3/0     3/0
        OFPBIC_UNSUP_INST                N2/257  3/1     3/1     3/1     3/1     3/1
        OFPBIC_UNSUP_METADATA            -       3/3     3/3     3/3     3/3     3/3
        OFPBIC_UNSUP_METADATA_MASK       -       3/4     3/4     3/4     3/4     3/4
        OFPBMC_BAD_DL_ADDR_MASK          -       4/3     4/3     4/3     4/3     4/3
        OFPBMC_BAD_FIELD                 N0/263  4/6     4/6     4/6     4/6     4/6
        OFPBMC_BAD_LEN                   -       4/1     4/1     4/1     4/1     4/1
        OFPBMC_BAD_MASK                  N1/259  N1/259  4/8     4/8     4/8     4/8
        OFPBMC_BAD_NW_ADDR_MASK          -       4/4     4/4     4/4     4/4     4/4
        OFPBMC_BAD_PREREQ                N1/260  N1/260  4/9     4/9     4/9     4/9
        OFPBMC_BAD_TAG                   -       4/2     4/2     4/2     4/2     4/2
        OFPBMC_BAD_TYPE                  -       4/0     4/0     4/0     4/0     4/0
        OFPBMC_BAD_VALUE                 N1/258  4/7     4/7     4/7     4/7     4/7
        OFPBMC_BAD_WILDCARDS             N1/262  4/5     4/5     4/5     4/5     4/5
        OFPBMC_DUP_FIELD                 N1/261  N1/261  4/10    4/10    4/10    4/10
        OFPBMC_EPERM                     -       -       4/11    4/11    4/11    4/11
        OFPBPC_BAD_EXPERIMENTER          N14/5   N14/5   N30/0   O4445/0 14/5    14/5
        OFPBPC_BAD_EXP_TYPE              N14/6   N14/6   N31/0   O4446/0 14/6    14/6
        OFPBPC_BAD_EXP_VALUE             N14/7   N14/7   N32/0   O4447/0 14/7    14/7
        OFPBPC_BAD_LEN                   N13/3   N13/3   N26/0   13/3    14/1    14/1
        OFPBPC_BAD_TYPE                  N13/2   N13/2   N25/0   13/2    14/0    14/0
        OFPBPC_BAD_VALUE                 N13/4   N13/4   N27/0   13/4    14/2    14/2
        OFPBPC_DUP_TYPE                  N14/4   N14/4   N29/0   O4444/0 14/4    14/4
        OFPBPC_EPERM                     N14/8   N14/8   N33/0   O4448/0 14/8    14/8
        OFPBPC_TOO_MANY                  N14/3   N14/3   N28/0   O4443/0 14/3    14/3
        OFPBRC_BAD_LEN                   1/6     1/6     1/6     1/6     1/6     1/6
        OFPBRC_BAD_PACKET                -       -       1/12    1/12    1/12    1/12
        OFPBRC_BAD_PORT                  N1/514  N1/514  1/11    1/11    1/11    1/11
        OFPBRC_BAD_STAT                  1/2     1/2     1/2     1/2     1/2     1/2
        OFPBRC_BAD_SUBTYPE               1/4     1/4     1/4     1/4     1/4     1/4
        OFPBRC_BAD_TABLE_ID              N1/512  1/9     1/9     1/9     1/9     1/9
        OFPBRC_BAD_TYPE                  1/1     1/1     1/1     1/1     1/1     1/1
        OFPBRC_BAD_VENDOR                1/3     1/3     1/3     1/3     1/3     1/3
        OFPBRC_BAD_VERSION               1/0     1/0     1/0     1/0     1/0     1/0
        OFPBRC_BUFFER_EMPTY              1/7     1/7     1/7     1/7     1/7     1/7
        OFPBRC_BUFFER_UNKNOWN            1/8     1/8     1/8     1/8     1/8     1/8
        OFPBRC_EPERM                     1/5     1/5     1/5     1/5     1/5     1/5
        OFPBRC_IS_SECONDARY              1/5     1/5     1/10    1/10    1/10    1/10
        OFPBRC_MULTIPART_BAD_SCHED       -       -       -       -       -       1/16
        OFPBRC_MULTIPART_BUFFER_OVERFLOW -       -       -       1/13    1/13    1/13
        OFPBRC_MULTIPART_REPLY_TIMEOUT   -       -       -       O2641/0 1/15    1/15
        OFPBRC_MULTIPART_REQUEST_TIMEOUT -       -       -       O2640/0 1/14    1/14
        OFPBRC_PIPELINE_FIELDS_ONLY      -       -       -       -       -       1/17
        OFPBRC_UNKNOWN                   -       -       -       -       -       1/18
        OFPFMFC_BAD_COMMAND              3/4     5/6     5/6     5/6     5/6     5/6
        OFPFMFC_BAD_EMERG_TIMEOUT        3/3     -       -       -       -       -
        OFPFMFC_BAD_FLAGS                N3/258  N5/258  5/7     5/7     5/7     5/7
        OFPFMFC_BAD_PRIORITY             -       -       -       O2360/0 5/9     5/9
        OFPFMFC_BAD_TABLE_ID             -       5/2     5/2     5/2     5/2     5/2
        OFPFMFC_BAD_TIMEOUT              -       5/5     5/5     5/5     5/5     5/5
        OFPFMFC_CANT_SYNC                -       -       -       -       5/8     5/8
        OFPFMFC_EPERM                    3/2     5/4     5/4     5/4     5/4     5/4
        OFPFMFC_IS_SYNC                  -       -       -       -       5/10    5/10
        OFPFMFC_OVERLAP                  3/1     5/3     5/3     5/3     5/3     5/3
        OFPFMFC_TABLE_FULL               3/0     5/1     5/1     5/1     5/1     5/1
        OFPFMFC_UNKNOWN                  -       5/0     5/0     5/0     5/0     5/0
        OFPFMFC_UNSUPPORTED              3/5     -       -       -       -       -
        OFPGMFC_BAD_BUCKET               N6/12   -       6/12    6/12    6/12    6/12
        OFPGMFC_BAD_COMMAND              N6/11   -       6/11    6/11    6/11    6/11
        OFPGMFC_BAD_TYPE                 N6/10   -       6/10    6/10    6/10    6/10
        OFPGMFC_BAD_WATCH                N6/13   -       6/13    6/13    6/13    6/13
        OFPGMFC_BUCKET_EXISTS            N6/16   -       -       -       -       6/16
        OFPGMFC_CHAINED_GROUP            N6/9    -       6/9     6/9     6/9     6/9
        OFPGMFC_CHAINING_UNSUPPORTED     N6/5    6/5     6/5     6/5     6/5     6/5
        OFPGMFC_EPERM                    N6/14   -       6/14    6/14    6/14    6/14
        OFPGMFC_GROUP_EXISTS             N6/0    6/0     6/0     6/0     6/0     6/0
        OFPGMFC_INVALID_GROUP            N6/1    6/1     6/1     6/1     6/1     6/1
        OFPGMFC_LOOP                     N6/7    6/7     6/7     6/7     6/7     6/7
        OFPGMFC_OUT_OF_BUCKETS           N6/4    6/4     6/4     6/4     6/4     6/4
        OFPGMFC_OUT_OF_GROUPS            N6/3    6/3     6/3     6/3     6/3     6/3
        OFPGMFC_UNKNOWN_BUCKET           N6/15   -       -       -       -       6/15
        OFPGMFC_UNKNOWN_GROUP            N6/8    6/8     6/8     6/8     6/8     6/8
        OFPGMFC_WATCH_UNSUPPORTED        N6/6    6/6     6/6     6/6     6/6     6/6
        OFPGMFC_WEIGHT_UNSUPPORTED       N6/2    6/2     6/2     6/2     6/2     6/2
        OFPHFC_EPERM                     0/1     0/1     0/1     0/1     0/1     0/1
        OFPHFC_INCOMPATIBLE              0/0     0/0     0/0     0/0     0/0     0/0
        OFPMMFC_BAD_BAND                 -       -       -       12/8    12/8    12/8
        OFPMMFC_BAD_BAND_VALUE           -       -       -       12/9    12/9    12/9
        OFPMMFC_BAD_BURST                -       -       -       12/7    12/7    12/7
        OFPMMFC_BAD_COMMAND              -       -       -       12/4    12/4    12/4
        OFPMMFC_BAD_FLAGS                -       -       -       12/5    12/5    12/5
        OFPMMFC_BAD_RATE                 -       -       -       12/6    12/6    12/6
        OFPMMFC_INVALID_METER            -       -       -       12/2    12/2    12/2
        OFPMMFC_METER_EXISTS             -       -       -       12/1    12/1    12/1
        OFPMMFC_OUT_OF_BANDS             -       -       -       12/11   12/11   12/11
        OFPMMFC_OUT_OF_METERS            -       -       -       12/10   12/10   12/10
        OFPMMFC_UNKNOWN                  -       -       -       12/0    12/0    12/0
        OFPMMFC_UNKNOWN_METER            -       -       -       12/3    12/3    12/3
        OFPMOFC_BAD_COMMAND              -       -       -       -       16/4    16/4
        OFPMOFC_BAD_FLAGS                N1/518  N1/518  N7/0    N7/0    16/5    16/5
        OFPMOFC_BAD_OUT                  -       -       -       -       16/7    16/7
        OFPMOFC_BAD_TABLE_ID             -       -       -       -       16/6    16/6
        OFPMOFC_INVALID_MONITOR          -       -       -       -       16/2    16/2
        OFPMOFC_MONITOR_EXISTS           N1/517  N1/517  N6/0    N6/0    16/1    16/1
        OFPMOFC_UNKNOWN                  -       -       -       -       16/0    16/0
        OFPMOFC_UNKNOWN_MONITOR          N1/519  N1/519  N8/0    N8/0    16/3    16/3
        OFPPMFC_BAD_ADVERTISE            -       7/3     7/3     7/3     7/3     7/3
        OFPPMFC_BAD_CONFIG               -       7/2     7/2     7/2     7/2     7/2
        OFPPMFC_BAD_HW_ADDR              4/1     7/1     7/1     7/1     7/1     7/1
        OFPPMFC_BAD_PORT                 4/0     7/0     7/0     7/0     7/0     7/0
        OFPPMFC_EPERM                    -       -       7/4     7/4     7/4     7/4
        OFPQOFC_BAD_PORT                 5/0     9/0     9/0     9/0     9/0     9/0
        OFPQOFC_BAD_QUEUE                5/1     9/1     9/1     9/1     9/1     9/1
        OFPQOFC_EPERM                    5/2     9/2     9/2     9/2     9/2     9/2
        OFPRRFC_BAD_ROLE                 N1/513  N1/513  11/2    11/2    11/2    11/2
        OFPRRFC_ID_IN_USE                -       -       -       -       -       11/4
        OFPRRFC_ID_UNSUP                 -       -       -       -       -       11/3
        OFPRRFC_STALE                    -       -       11/0    11/0    11/0    11/0
        OFPRRFC_UNSUP                    -       -       11/1    11/1    11/1    11/1
        OFPSCFC_BAD_FLAGS                -       10/0    10/0    10/0    10/0    10/0
        OFPSCFC_BAD_LEN                  -       10/1    10/1    10/1    10/1    10/1
        OFPSCFC_EPERM                    -       -       10/2    10/2    10/2    10/2
        OFPTFFC_BAD_CAPA                 -       -       -       -       -       13/6
        OFPTFFC_BAD_COMMAND              -       -       -       -       -       13/9
        OFPTFFC_BAD_FEATURES             -       -       -       -       -       13/8
        OFPTFFC_BAD_MAX_ENT              -       -       -       -       -       13/7
        OFPTFFC_BAD_METADATA             -       -       -       13/1    13/1    13/1
        OFPTFFC_BAD_TABLE                -       -       -       13/0    13/0    13/0
        OFPTFFC_EPERM                    -       -       -       13/5    13/5    13/5
        OFPTFFC_TOO_MANY                 -       -       -       -       -       13/10
        OFPTMFC_BAD_CONFIG               -       8/1     8/1     8/1     8/1     8/1
        OFPTMFC_BAD_TABLE                -       8/0     8/0     8/0     8/0     8/0
        OFPTMFC_EPERM                    -       -       8/2     8/2     8/2     8/2
        """
}
