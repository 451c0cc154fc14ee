// Requests, in order on one session over `testSchemaText`, and what the field's server answers to them (recorded from
// ovsdb-server 3.1; UUIDs that are not the test's own stand as "U"). An answer "-" is
// not compared: there the order is open, or this server means to answer otherwise.
//
// swift-format-ignore-file

let transactionExchanges = #"""
    {"id":1,"method":"bogus","params":[]}
    {"error":"unknown method","id":1}
    {"id":2,"method":"transact","params":[]}
    {"error":{"details":"transact request params must begin with <db-name>","error":"syntax error","syntax":"[]"},"id":2}
    {"id":3,"method":"transact","params":["nodb"]}
    {"error":{"details":"transact request specifies unknown database nodb","error":"unknown database","syntax":"[\"nodb\"]"},"id":3}
    {"id":4,"method":"transact","params":["test"]}
    {"error":null,"id":4,"result":[]}
    {"id":5,"method":"transact","params":["test",1]}
    {"error":null,"id":5,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Object expected.","error":"syntax error"}]}
    {"id":6,"method":"transact","params":["test",{}]}
    {"error":null,"id":6,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Required 'op' member is missing.","error":"syntax error","syntax":"{}"}]}
    {"id":7,"method":"transact","params":["test",{"op":"foo"}]}
    {"error":null,"id":7,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: No operation \"foo\"","error":"syntax error","syntax":"{\"op\":\"foo\"}"}]}
    {"id":8,"method":"transact","params":["test",{"op":"insert"}]}
    {"error":null,"id":8,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Required 'table' member is missing.","error":"syntax error","syntax":"{\"op\":\"insert\"}"}]}
    {"id":9,"method":"transact","params":["test",{"op":"insert","table":"X","row":{}}]}
    {"error":null,"id":9,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: No table named X.","error":"syntax error","syntax":"{\"op\":\"insert\",\"row\":{},\"table\":\"X\"}"}]}
    {"id":10,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"zzz":1}}]}
    {"error":null,"id":10,"result":[{"details":"No column zzz in table T.","error":"unknown column","syntax":"{\"zzz\":1}"}]}
    {"id":11,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"i":"a"}}]}
    {"error":null,"id":11,"result":[{"details":"expected integer","error":"syntax error","syntax":"\"a\""}]}
    {"id":12,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"i":1.5}}]}
    {"error":null,"id":12,"result":[{"details":"expected integer","error":"syntax error","syntax":"1.5"}]}
    {"id":13,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"e":"blue"}}]}
    {"error":null,"id":13,"result":[{"details":"blue is not one of the allowed values ([green, red])","error":"constraint violation"}]}
    {"id":14,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"ir":11}}]}
    {"error":null,"id":14,"result":[{"details":"11 is not in the valid range 1 to 10 (inclusive)","error":"constraint violation"}]}
    {"id":15,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"ir":["set",[1,2,3,4]]}}]}
    {"error":null,"id":15,"result":[{"details":"set must have 0 to 3 members but 4 are present","error":"syntax error","syntax":"[\"set\",[1,2,3,4]]"}]}
    {"id":16,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"ir":["set",[1,1]]}}]}
    {"error":null,"id":16,"result":[{"details":"set contains duplicate","error":"ovsdb error"}]}
    {"id":17,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"rr":1}}]}
    {"error":null,"id":17,"result":[{"details":"1 is not in the valid range 1.5 to 10.5 (inclusive)","error":"constraint violation"}]}
    {"id":18,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"sl":"a"}}]}
    {"error":null,"id":18,"result":[{"details":"\"a\" length 1 is less than minimum allowed length 2","error":"constraint violation"}]}
    {"id":19,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"sl":"abcde"}}]}
    {"error":null,"id":19,"result":[{"details":"\"abcde\" length 5 is greater than maximum allowed length 4","error":"constraint violation"}]}
    {"id":20,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"s":["set",[]]}}]}
    {"error":null,"id":20,"result":[{"details":"set must have exactly one member but 0 are present","error":"syntax error","syntax":"[\"set\",[]]"}]}
    {"id":21,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"m":["map",[["a","b"],["a","c"]]]}}]}
    {"error":null,"id":21,"result":[{"details":"map contains duplicate key","error":"ovsdb error"}]}
    {"id":22,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"m":["map",[["a"]]]}}]}
    {"error":null,"id":22,"result":[{"details":"expected 2-element array","error":"syntax error","syntax":"[\"a\"]"}]}
    {"id":23,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"m":"x"}}]}
    {"error":null,"id":23,"result":[{"details":"expected [\"map\", <array>]","error":"syntax error","syntax":"\"x\""}]}
    {"id":24,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"u":["uuid","zz"]}}]}
    {"error":null,"id":24,"result":[{"details":"\"zz\" is not a valid UUID","error":"syntax error","syntax":"[\"uuid\",\"zz\"]"}]}
    {"id":25,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"strong":["named-uuid","foo"]}}]}
    {"error":null,"id":25,"result":[{"uuid":["uuid","U"]},{"details":"Table T column strong row U references nonexistent row U in table C.","error":"referential integrity violation"}]}
    {"id":26,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"strong":["uuid","00000000-0000-0000-0000-000000000001"]}}]}
    {"error":null,"id":26,"result":[{"uuid":["uuid","U"]},{"details":"Table T column strong row U references nonexistent row 00000000-0000-0000-0000-000000000001 in table C.","error":"referential integrity violation"}]}
    {"id":27,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"weak":["uuid","00000000-0000-0000-0000-000000000001"]}}]}
    {"error":null,"id":27,"result":[{"uuid":["uuid","U"]}]}
    {"id":28,"method":"transact","params":["test",{"op":"insert","table":"T","row":{},"uuid-name":"a"},{"op":"insert","table":"T","row":{},"uuid-name":"a"}]}
    {"error":null,"id":28,"result":[{"uuid":["uuid","U"]},{"details":"This \"uuid-name\" appeared on an earlier \"insert\" operation.","error":"duplicate uuid-name","syntax":"\"a\""}]}
    {"id":29,"method":"transact","params":["test",{"op":"insert","table":"T","row":{},"uuid-name":"0a"}]}
    {"error":null,"id":29,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Type mismatch for member 'uuid-name'.","error":"syntax error","syntax":"{\"op\":\"insert\",\"row\":{},\"table\":\"T\",\"uuid-name\":\"0a\"}"}]}
    {"id":30,"method":"transact","params":["test",{"op":"insert","table":"T","row":{},"bogus":3}]}
    {"error":null,"id":30,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Member 'bogus' is present but not allowed here.","error":"syntax error","syntax":"{\"bogus\":3,\"op\":\"insert\",\"row\":{},\"table\":\"T\"}"}]}
    {"id":31,"method":"transact","params":["test",{"op":"insert","table":"T","row":{},"uuid":"12345678-1234-1234-1234-123456789abc"}]}
    {"error":null,"id":31,"result":[{"uuid":["uuid","U"]}]}
    {"id":32,"method":"transact","params":["test",{"op":"insert","table":"T","row":{},"uuid":"12345678-1234-1234-1234-123456789abc"}]}
    {"error":null,"id":32,"result":[{"details":"This UUID would duplicate a UUID already present within the table or deleted within the same transaction.","error":"duplicate uuid","syntax":"\"U\""}]}
    {"id":33,"method":"transact","params":["test",{"op":"select","table":"T","where":[]}]}
    {"error":null,"id":33,"result":[{"rows":[{"_uuid":["uuid","U"],"_version":["uuid","U"],"b":false,"e":["set",[]],"eph":"","i":0,"im":"","ir":["set",[]],"m":["map",[]],"mi":["map",[]],"oi":["set",[]],"r":0,"rr":["set",[]],"s":"","si":["set",[]],"sl":["set",[]],"sr":["set",[]],"strong":["set",[]],"u":["uuid","00000000-0000-0000-0000-000000000000"],"weak":["set",[]],"weak1":["set",[]]},{"_uuid":["uuid","U"],"_version":["uuid","U"],"b":false,"e":["set",[]],"eph":"","i":0,"im":"","ir":["set",[]],"m":["map",[]],"mi":["map",[]],"oi":["set",[]],"r":0,"rr":["set",[]],"s":"","si":["set",[]],"sl":["set",[]],"sr":["set",[]],"strong":["set",[]],"u":["uuid","00000000-0000-0000-0000-000000000000"],"weak":["set",[]],"weak1":["set",[]]}]}]}
    {"id":34,"method":"transact","params":["test",{"op":"select","table":"T","where":[],"columns":["_uuid","zz"]}]}
    {"error":null,"id":34,"result":[{"details":"zz is not a valid column name","error":"syntax error","syntax":"[\"_uuid\",\"zz\"]"}]}
    {"id":35,"method":"transact","params":["test",{"op":"select","table":"T","where":[],"columns":["i","i"]}]}
    {"error":null,"id":35,"result":[{"details":"array of distinct column names expected","error":"syntax error","syntax":"[\"i\",\"i\"]"}]}
    {"id":36,"method":"transact","params":["test",{"op":"select","table":"T","where":[["i","=~",1]]}]}
    {"error":null,"id":36,"result":[{"details":"No function named =~.","error":"unknown function"}]}
    {"id":37,"method":"transact","params":["test",{"op":"select","table":"T","where":[["s","<","x"]]}]}
    {"error":null,"id":37,"result":[{"details":"Type mismatch: \"<\" operator may not be applied to column s of type string.","error":"syntax error","syntax":"[\"s\",\"<\",\"x\"]"}]}
    {"id":38,"method":"transact","params":["test",{"op":"select","table":"T","where":[["i","<",["set",[]]]],"columns":["i"]}]}
    {"error":null,"id":38,"result":[{"details":"set must have exactly one member but 0 are present","error":"syntax error","syntax":"[\"set\",[]]"}]}
    {"id":39,"method":"transact","params":["test",{"op":"select","table":"T","where":[true],"columns":["i"]}]}
    {"error":null,"id":39,"result":[{"rows":[{"i":0}]}]}
    {"id":40,"method":"transact","params":["test",{"op":"select","table":"T","where":[["i"]],"columns":["i"]}]}
    {"error":null,"id":40,"result":[{"details":"Parse error in condition.","error":"syntax error","syntax":"[\"i\"]"}]}
    {"id":41,"method":"transact","params":["test",{"op":"select","table":"T","where":"x","columns":["i"]}]}
    {"error":null,"id":41,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Type mismatch for member 'where'.","error":"syntax error","syntax":"{\"columns\":[\"i\"],\"op\":\"select\",\"table\":\"T\",\"where\":\"x\"}"}]}
    {"id":42,"method":"transact","params":["test",{"op":"update","table":"T","where":[],"row":{"im":"x"}}]}
    {"error":null,"id":42,"result":[{"details":"Cannot update immutable column im in table T.","error":"constraint violation","syntax":"{\"op\":\"update\",\"row\":{\"im\":\"x\"},\"table\":\"T\",\"where\":[]}"}]}
    {"id":43,"method":"transact","params":["test",{"op":"update","table":"T","where":[],"row":{"_uuid":["uuid","12345678-1234-1234-1234-123456789abd"]}}]}
    {"error":null,"id":43,"result":[{"details":"Cannot update immutable column _uuid in table T.","error":"constraint violation","syntax":"{\"op\":\"update\",\"row\":{\"_uuid\":[\"uuid\",\"U\"]},\"table\":\"T\",\"where\":[]}"}]}
    {"id":44,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["i","/=",0]]}]}
    {"error":null,"id":44,"result":[{"details":"Division by zero.","error":"domain error"}]}
    {"id":45,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["s","+=",0]]}]}
    {"error":null,"id":45,"result":[{"details":"Type mismatch: \"+=\" operator may not be applied to column s of type string.","error":"syntax error","syntax":"[\"s\",\"+=\",0]"}]}
    {"id":46,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["im","insert","x"]]}]}
    {"error":null,"id":46,"result":[{"details":"Cannot mutate immutable column im in table T.","error":"constraint violation","syntax":"[\"im\",\"insert\",\"x\"]"}]}
    {"id":47,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["i","~=",1]]}]}
    {"error":null,"id":47,"result":[{"details":"No mutator named ~=.","error":"unknown mutator"}]}
    {"id":48,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["i","+=",9223372036854775807],["i","+=",1]]}]}
    {"error":null,"id":48,"result":[{"details":"Result of \"+=\" operation is out of range.","error":"range error"}]}
    {"id":49,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["ir","insert",5],["ir","*=",7]]}]}
    {"error":null,"id":49,"result":[{"details":"35 is not in the valid range 1 to 10 (inclusive)","error":"constraint violation"}]}
    {"id":50,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["r","%=",1]]}]}
    {"error":null,"id":50,"result":[{"details":"Type mismatch: \"%=\" operator may not be applied to column r of type real.","error":"syntax error","syntax":"[\"r\",\"%=\",1]"}]}
    {"id":51,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["i","+=",1.5]]}]}
    {"error":null,"id":51,"result":[{"details":"expected integer","error":"syntax error","syntax":"1.5"}]}
    {"id":52,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["ir","insert",["set",[1,2,3,4]]]]}]}
    {"error":null,"id":52,"result":[{"details":"set must have 0 to 3 members but 4 are present","error":"syntax error","syntax":"[\"set\",[1,2,3,4]]"}]}
    {"id":53,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["ir","insert",["set",[1,12]]]]}]}
    {"error":null,"id":53,"result":[{"details":"12 is not in the valid range 1 to 10 (inclusive)","error":"constraint violation"}]}
    {"id":54,"method":"transact","params":["test",{"op":"wait","timeout":0,"table":"T","where":[],"columns":["i"],"until":"==","rows":[]}]}
    {"error":null,"id":54,"result":[{"details":"\"where\" clause test failed","error":"timed out"}]}
    {"id":55,"method":"transact","params":["test",{"op":"wait","timeout":0,"table":"T","where":[],"columns":["i"],"until":"<","rows":[]}]}
    {"error":null,"id":55,"result":[{"details":"\"until\" must be \"==\" or \"!=\"","error":"syntax error","syntax":"\"<\""}]}
    {"id":56,"method":"transact","params":["test",{"op":"wait","timeout":0,"table":"T","where":[],"columns":["i"],"until":"==","rows":[{"i":0}]}]}
    {"error":null,"id":56,"result":[{}]}
    {"id":57,"method":"transact","params":["test",{"op":"wait","timeout":50,"table":"T","where":[],"columns":["i"],"until":"!=","rows":[{"i":0}]}]}
    -
    {"id":58,"method":"transact","params":["test",{"op":"abort"}]}
    {"error":null,"id":58,"result":[{"details":"aborted by request","error":"aborted"}]}
    {"id":59,"method":"transact","params":["test",{"op":"comment","comment":"hi"},{"op":"commit","durable":false},{"op":"commit","durable":true}]}
    {"error":null,"id":59,"result":[{},{},{}]}
    {"id":60,"method":"transact","params":["test",{"op":"assert","lock":"l"}]}
    {"error":null,"id":60,"result":[{"details":"Asserted lock l not held.","error":"not owner"}]}
    {"id":61,"method":"transact","params":["test",{"op":"insert","table":"C","row":{"name":"x"}},{"op":"insert","table":"C","row":{"name":"x"}}]}
    {"error":null,"id":61,"result":[{"uuid":["uuid","U"]},{"uuid":["uuid","U"]}]}
    {"id":62,"method":"transact","params":["test",{"op":"insert","table":"I","row":{"a":1,"b":"x"}},{"op":"insert","table":"I","row":{"a":1,"b":"x"}}]}
    {"error":null,"id":62,"result":[{"uuid":["uuid","U"]},{"uuid":["uuid","U"]},{"details":"Transaction causes multiple rows in \"I\" table to have identical values (1 and x) for index on columns \"a\" and \"b\".  First row, with UUID U, was inserted by this transaction.  Second row, with UUID U, was inserted by this transaction.","error":"constraint violation"}]}
    {"id":63,"method":"transact","params":["test",{"op":"insert","table":"M","row":{"a":1}},{"op":"insert","table":"M","row":{"a":1}},{"op":"insert","table":"M","row":{"a":1}}]}
    {"error":null,"id":63,"result":[{"uuid":["uuid","U"]},{"uuid":["uuid","U"]},{"uuid":["uuid","U"]},{"details":"transaction causes \"M\" table to contain 3 rows, greater than the schema-defined limit of 2 row(s)","error":"constraint violation"}]}
    {"id":64,"method":"transact","params":["test",{"op":"insert","table":"W","row":{"name":"x"}}]}
    {"error":null,"id":64,"result":[{"uuid":["uuid","U"]},{"details":"Weak reference column \"must\" in \"W\" row U (inserted within this transaction) contained all-zeros UUID (probably as the default value for this column) but deleting this value caused a constraint volation because this column is not allowed to be empty.","error":"constraint violation"}]}
    {"id":65,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"strong":["named-uuid","c"]}},{"op":"insert","table":"C","uuid-name":"c","row":{"name":"cc"}}]}
    {"error":null,"id":65,"result":[{"uuid":["uuid","U"]},{"uuid":["uuid","U"]}]}
    {"id":66,"method":"transact","params":["test",{"op":"delete","table":"C","where":[]}]}
    {"error":null,"id":66,"result":[{"count":1},{"details":"cannot delete C row U because of 1 remaining reference(s)","error":"referential integrity violation"}]}
    {"id":67,"method":"transact","params":["test",{"op":"insert","table":"W","row":{"name":"x","must":["uuid","00000000-0000-0000-0000-000000000001"]}}]}
    {"error":null,"id":67,"result":[{"uuid":["uuid","U"]},{"details":"Deletion of 1 weak reference(s) to deleted (or never-existing) rows from column \"must\" in \"W\" row U (inserted within this transaction) caused this column to become empty, but constraints on this column disallow an empty column.","error":"constraint violation"}]}
    {"id":68,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"i":5}},{"op":"delete","table":"T","where":[["i","==",5]]},{"op":"select","table":"T","where":[],"columns":["i"]}]}
    {"error":null,"id":68,"result":[{"uuid":["uuid","U"]},{"count":1},{"rows":[{"i":0}]}]}
    {"id":69,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"i":99999999999999999999}}]}
    {"error":null,"id":69,"result":[{"details":"expected integer","error":"syntax error","syntax":"1e+20"}]}
    {"id":70,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"r":1e5,"sr":["set",[1,2.5,1e30,0.1]]}},{"op":"select","table":"T","where":[["r","==",100000]],"columns":["r","sr"]}]}
    {"error":null,"id":70,"result":[{"uuid":["uuid","U"]},{"rows":[{"r":100000,"sr":["set",[0.1,1,2.5,1e+30]]}]}]}
    {"id":71,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"u":["named-uuid","nn"]}}]}
    {"error":null,"id":71,"result":[{"uuid":["uuid","U"]}]}
    {"id":72,"method":"transact","params":["test",{"op":"insert","table":"T","row":{},"uuid":"zz"}]}
    {"error":null,"id":72,"result":[{"details":"bad uuid","error":"syntax error","syntax":"\"zz\""}]}
    """#

let monitorExchanges = #"""
    {"id":1,"method":"monitor","params":["test","m1",{"T":[{"columns":["i","oi","si","m"]}]}]}
    {"error":null,"id":1,"result":{}}
    {"id":2,"method":"monitor","params":["test","m1",{"T":[{"columns":["i"]}]}]}
    {"error":{"details":"duplicate monitor ID","error":"syntax error","syntax":"\"m1\""},"id":2}
    {"id":3,"method":"monitor","params":["test","m2",{"X":[{"columns":["i"]}]}]}
    {"error":{"details":"no table named X","error":"syntax error"},"id":3}
    {"id":4,"method":"monitor","params":["test","m2",{"T":[{"columns":["zz"]}]}]}
    {"error":{"details":"zz is not a valid column name","error":"syntax error","syntax":"[\"zz\"]"},"id":4}
    {"id":5,"method":"monitor","params":["test","m2",{"T":[{"columns":["i"]},{"columns":["i"]}]}]}
    {"error":{"details":"column i mentioned more than once","error":"syntax error","syntax":"[\"i\"]"},"id":5}
    {"id":6,"method":"monitor","params":["test","m2",{"T":{"columns":["i"],"select":{"initial":false}}}]}
    {"error":null,"id":6,"result":{}}
    {"id":8,"method":"monitor","params":["test","m3",{"T":[{"columns":["i"],"foo":1}]}]}
    {"error":{"details":"Parsing table T failed: Member 'foo' is present but not allowed here.","error":"syntax error","syntax":"{\"columns\":[\"i\"],\"foo\":1}"},"id":8}
    {"id":9,"method":"monitor","params":["test","m3",{"T":[{"columns":["i"],"select":{"initial":1}}]}]}
    {"error":{"details":"Parsing table T select failed: Type mismatch for member 'initial'.","error":"syntax error","syntax":"{\"initial\":1}"},"id":9}
    {"id":10,"method":"monitor_cond","params":["test","mc",{"T":[{"columns":["i","oi","si","m"],"where":[["i",">=",5]]}]}]}
    {"error":null,"id":10,"result":{}}
    {"id":11,"method":"monitor_cond","params":["test","mc2",{"T":[{"columns":["i"],"where":[["zz",">=",5]]}]}]}
    {"error":{"details":"No column zz in table T.","error":"unknown column","syntax":"[\"zz\",\">=\",5]"},"id":11}
    {"id":12,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"i":5,"si":["set",[1,2]],"m":["map",[["a","b"],["c","d"]]]},"uuid":"00000000-0000-0000-0000-000000000005"}]}
    -
    {"id":13,"method":"transact","params":["test",{"op":"update","table":"T","where":[["i","==",5]],"row":{"i":6,"si":["set",[2,3]],"m":["map",[["a","x"],["e","f"]]],"oi":7}}]}
    -
    {"id":131,"method":"transact","params":["test",{"op":"update","table":"T","where":[["i","==",6]],"row":{"oi":8}}]}
    {"id":null,"method":"update","params":["m1",{"T":{"00000000-0000-0000-0000-000000000005":{"new":{"i":6,"m":["map",[["a","x"],["e","f"]]],"oi":8,"si":["set",[2,3]]},"old":{"oi":7}}}}]} {"id":null,"method":"update2","params":["mc",{"T":{"00000000-0000-0000-0000-000000000005":{"modify":{"oi":8}}}}]} {"error":null,"id":131,"result":[{"count":1}]}
    {"id":132,"method":"transact","params":["test",{"op":"update","table":"T","where":[["i","==",6]],"row":{"s":"zz"}}]}
    {"error":null,"id":132,"result":[{"count":1}]}
    {"id":14,"method":"transact","params":["test",{"op":"update","table":"T","where":[["i","==",6]],"row":{"i":4}}]}
    -
    {"id":15,"method":"transact","params":["test",{"op":"update","table":"T","where":[["i","==",4]],"row":{"i":7,"m":["map",[]]}}]}
    -
    {"id":16,"method":"monitor_cond_change","params":["mc","mcn",{"T":[{"where":[["i","==",100]]}]}]}
    {"id":null,"method":"update2","params":["mcn",{"T":{"00000000-0000-0000-0000-000000000005":{"delete":null}}}]} {"error":null,"id":16,"result":{}}
    {"id":17,"method":"monitor_cond_change","params":["mcn","mc",{"T":[{"where":[true]}]}]}
    {"id":null,"method":"update2","params":["mc",{"T":{"00000000-0000-0000-0000-000000000005":{"insert":{"i":7,"oi":8,"si":["set",[2,3]]}}}}]} {"error":null,"id":17,"result":{}}
    {"id":18,"method":"monitor_cond_change","params":["nope","mc",{"T":[{"where":[true]}]}]}
    {"error":{"details":"unknown monitor session","error":"syntax error","syntax":"\"nope\""},"id":18}
    {"id":19,"method":"monitor_cond_change","params":["m1","m1",{"T":[{"where":[true]}]}]}
    {"error":null,"id":19,"result":{}}
    {"id":191,"method":"monitor_cond_change","params":["mc","mc",{"C":[{"where":[true]}]}]}
    {"error":{"details":"no table named C in monitor session","error":"syntax error"},"id":191}
    {"id":20,"method":"monitor_cancel","params":["nope"]}
    {"error":"unknown monitor","id":20}
    {"id":21,"method":"monitor_cancel","params":["mc"]}
    {"error":null,"id":21,"result":{}}
    {"id":22,"method":"transact","params":["test",{"op":"delete","table":"T","where":[["i","==",7]]}]}
    -
    {"id":23,"method":"monitor_cond_since","params":["test","ms",{"T":[{"columns":["i"],"where":[["i","==",5]]}]},"00000000-0000-0000-0000-000000000000"]}
    -
    {"id":24,"method":"monitor_cond_since","params":["test","ms2",{"T":[{"columns":["i"]}]}]}
    {"error":{"details":"invalid parameters","error":"syntax error","syntax":"[\"test\",\"ms2\",{\"T\":[{\"columns\":[\"i\"]}]}]"},"id":24}
    {"id":25,"method":"monitor_cond_since","params":["test","ms2",{"T":[{"columns":["i"]}]},"xx"]}
    {"error":{"details":"last-txn-id must be UUID format.","error":"syntax error","syntax":"\"xx\""},"id":25}
    {"id":26,"method":"lock","params":["l1"]}
    {"error":null,"id":26,"result":{"locked":true}}
    {"id":27,"method":"lock","params":["l1"]}
    {"error":{"details":"must issue \"unlock\" before new \"lock\"","error":"syntax error","syntax":"[\"l1\"]"},"id":27}
    {"id":28,"method":"steal","params":["l1"]}
    {"error":{"details":"must issue \"unlock\" before new \"steal\"","error":"syntax error","syntax":"[\"l1\"]"},"id":28}
    {"id":29,"method":"unlock","params":["l2"]}
    {"error":{"details":"unlock: \"unlock\" without \"lock\" or \"steal\"","error":"syntax error","syntax":"[\"l2\"]"},"id":29}
    {"id":30,"method":"unlock","params":["l1"]}
    {"error":null,"id":30,"result":{}}
    {"id":31,"method":"steal","params":["l3"]}
    {"error":null,"id":31,"result":{"locked":true}}
    {"id":32,"method":"lock","params":[1]}
    {"error":{"details":"lock request params must be <id>","error":"syntax error","syntax":"[1]"},"id":32}
    {"id":321,"method":"lock","params":["0a b"]}
    {"error":{"details":"lock request params must be <id>","error":"syntax error","syntax":"[\"0a b\"]"},"id":321}
    {"id":33,"method":"lock","params":[]}
    {"error":{"details":"lock request params must be <id>","error":"syntax error","syntax":"[]"},"id":33}
    {"id":36,"method":"set_db_change_aware","params":[]}
    {"error":{"details":"set_db_change_aware: true or false parameter expected","error":"syntax error","syntax":"[]"},"id":36}
    {"id":37,"method":"set_db_change_aware","params":[1]}
    {"error":{"details":"set_db_change_aware: true or false parameter expected","error":"syntax error","syntax":"[1]"},"id":37}
    {"id":38,"method":"set_db_change_aware","params":[true]}
    {"error":null,"id":38,"result":{}}
    {"id":39,"method":"echo","params":[1,"x"]}
    {"error":null,"id":39,"result":[1,"x"]}
    {"id":40,"method":"list_dbs","params":["zz"]}
    -
    {"id":41,"method":"get_schema","params":[]}
    {"error":{"details":"get_schema request params must begin with <db-name>","error":"syntax error","syntax":"[]"},"id":41}
    {"id":42,"method":"get_schema","params":["zz"]}
    {"error":{"details":"get_schema request specifies unknown database zz","error":"unknown database","syntax":"[\"zz\"]"},"id":42}
    {"id":43,"method":"get_schema","params":[3]}
    {"error":{"details":"get_schema request params must begin with <db-name>","error":"syntax error","syntax":"[3]"},"id":43}
    {"id":44,"method":"convert","params":["test"]}
    {"error":{"details":"array expected","error":"syntax error","syntax":"[\"test\"]"},"id":44}
    {"id":45,"method":"convert","params":["test",{"name":"test","tables":{}}]}
    -
    {"id":46,"method":"transact","params":["_Server",{"op":"insert","table":"Database","row":{}}]}
    -
    {"id":47,"method":"transact","params":["_Server",{"op":"select","table":"Database","where":[],"columns":["name","model","connected","leader","cid","sid","index"]}]}
    {"error":null,"id":47,"result":[{"rows":[{"cid":["set",[]],"connected":true,"index":["set",[]],"leader":true,"model":"standalone","name":"_Server","sid":["set",[]]},{"cid":["set",[]],"connected":true,"index":["set",[]],"leader":true,"model":"standalone","name":"test","sid":["set",[]]}]}]}
    {"id":51,"method":"transact","params":["test",{"op":"insert","table":"T","row":{},"uuid-name":"x"},{"op":"select","table":"T","where":[["_uuid","==",["named-uuid","x"]]],"columns":["i"]},{"op":"delete","table":"T","where":[["_uuid","==",["named-uuid","x"]]]}]}
    {"error":null,"id":51,"result":[{"details":"Parsing ovsdb operation 1 of 3 failed: No table named T.","error":"syntax error","syntax":"{\"op\":\"insert\",\"row\":{},\"table\":\"T\",\"uuid-name\":\"x\"}"},null,null]}
    {"id":52,"method":"transact","params":["test",{"op":"commit","durable":1}]}
    {"error":null,"id":52,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Type mismatch for member 'durable'.","error":"syntax error","syntax":"{\"durable\":1,\"op\":\"commit\"}"}]}
    {"id":53,"method":"transact","params":["test",{"op":"comment"}]}
    {"error":null,"id":53,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Required 'comment' member is missing.","error":"syntax error","syntax":"{\"op\":\"comment\"}"}]}
    {"id":54,"method":"transact","params":["test",{"op":"insert","table":"T","row":{}},{"op":"abort"},{"op":"comment","comment":"x"}]}
    {"error":null,"id":54,"result":[{"details":"Parsing ovsdb operation 1 of 3 failed: No table named T.","error":"syntax error","syntax":"{\"op\":\"insert\",\"row\":{},\"table\":\"T\"}"},null,null]}
    {"id":55,"method":"transact","params":["test",{"op":"insert","table":"T","row":[]}]}
    {"error":null,"id":55,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: No table named T.","error":"syntax error","syntax":"{\"op\":\"insert\",\"row\":[],\"table\":\"T\"}"}]}
    {"id":56,"method":"transact","params":["test",{"op":"insert","table":"T"}]}
    {"error":null,"id":56,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: No table named T.","error":"syntax error","syntax":"{\"op\":\"insert\",\"table\":\"T\"}"}]}
    {"id":57,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":["x"]}]}
    {"error":null,"id":57,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: No table named T.","error":"syntax error","syntax":"{\"mutations\":[\"x\"],\"op\":\"mutate\",\"table\":\"T\",\"where\":[]}"}]}
    {"id":58,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["zz","+=",1]]}]}
    {"error":null,"id":58,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: No table named T.","error":"syntax error","syntax":"{\"mutations\":[[\"zz\",\"+=\",1]],\"op\":\"mutate\",\"table\":\"T\",\"where\":[]}"}]}
    {"id":59,"method":"transact","params":["test",{"op":"select","table":"T","where":[["zz","==",1]]}]}
    {"error":null,"id":59,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: No table named T.","error":"syntax error","syntax":"{\"op\":\"select\",\"table\":\"T\",\"where\":[[\"zz\",\"==\",1]]}"}]}
    {"id":60,"method":"transact","params":["test",{"op":"select","table":"T","where":[["m","includes",["map",[]]]],"columns":["i"]}]}
    {"error":null,"id":60,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: No table named T.","error":"syntax error","syntax":"{\"columns\":[\"i\"],\"op\":\"select\",\"table\":\"T\",\"where\":[[\"m\",\"includes\",[\"map\",[]]]]}"}]}
    {"id":61,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["mi","+=",1]]}]}
    {"error":null,"id":61,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: No table named T.","error":"syntax error","syntax":"{\"mutations\":[[\"mi\",\"+=\",1]],\"op\":\"mutate\",\"table\":\"T\",\"where\":[]}"}]}
    {"id":62,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["m","delete",["set",["a"]]],["m","delete","b"],["m","delete",["map",[["a","b"]]]]]}]}
    {"error":null,"id":62,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: No table named T.","error":"syntax error","syntax":"{\"mutations\":[[\"m\",\"delete\",[\"set\",[\"a\"]]],[\"m\",\"delete\",\"b\"],[\"m\",\"delete\",[\"map\",[[\"a\",\"b\"]]]]],\"op\":\"mutate\",\"table\":\"T\",\"where\":[]}"}]}
    {"id":63,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["i","delete",0]]}]}
    {"error":null,"id":63,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: No table named T.","error":"syntax error","syntax":"{\"mutations\":[[\"i\",\"delete\",0]],\"op\":\"mutate\",\"table\":\"T\",\"where\":[]}"}]}
    {"id":64,"method":"transact","params":["test",{"op":"wait","table":"T","timeout":1.5,"where":[],"columns":["i"],"until":"==","rows":[{"i":123}]}]}
    {"error":null,"id":64,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Type mismatch for member 'timeout'.","error":"syntax error","syntax":"{\"columns\":[\"i\"],\"op\":\"wait\",\"rows\":[{\"i\":123}],\"table\":\"T\",\"timeout\":1.5,\"until\":\"==\",\"where\":[]}"}]}
    {"id":65,"method":"transact","params":["test",{"op":"wait","table":"T","timeout":-1,"where":[],"columns":["i"],"until":"==","rows":[{"i":123}]}]}
    {"error":null,"id":65,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: No table named T.","error":"syntax error","syntax":"{\"columns\":[\"i\"],\"op\":\"wait\",\"rows\":[{\"i\":123}],\"table\":\"T\",\"timeout\":-1,\"until\":\"==\",\"where\":[]}"}]}
    {"id":66,"method":"transact","params":["test",{"op":"select","table":"T","where":[["b","<",true]],"columns":["i"]}]}
    {"error":null,"id":66,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: No table named T.","error":"syntax error","syntax":"{\"columns\":[\"i\"],\"op\":\"select\",\"table\":\"T\",\"where\":[[\"b\",\"<\",true]]}"}]}
    {"id":67,"method":"transact","params":["test",{"op":"select","table":"T","where":[["oi","<",3],["oi","!=",4],["oi","includes",["set",[]]]],"columns":["i"]}]}
    {"error":null,"id":67,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: No table named T.","error":"syntax error","syntax":"{\"columns\":[\"i\"],\"op\":\"select\",\"table\":\"T\",\"where\":[[\"oi\",\"<\",3],[\"oi\",\"!=\",4],[\"oi\",\"includes\",[\"set\",[]]]]}"}]}
    {"id":68,"method":"transact","params":["test",{"op":"select","table":"T","where":[["si","<",3]],"columns":["i"]}]}
    {"error":null,"id":68,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: No table named T.","error":"syntax error","syntax":"{\"columns\":[\"i\"],\"op\":\"select\",\"table\":\"T\",\"where\":[[\"si\",\"<\",3]]}"}]}
    """#

let conditionExchanges = #"""
    {"id":46,"method":"transact","params":["_Server",{"op":"insert","table":"Database","row":{}}]}
    -
    {"id":47,"method":"transact","params":["_Server",{"op":"select","table":"Database","where":[],"columns":["name","model","connected","leader","cid","sid","index"]}]}
    {"error":null,"id":47,"result":[{"rows":[{"cid":["set",[]],"connected":true,"index":["set",[]],"leader":true,"model":"standalone","name":"test","sid":["set",[]]},{"cid":["set",[]],"connected":true,"index":["set",[]],"leader":true,"model":"standalone","name":"_Server","sid":["set",[]]}]}]}
    {"id":51,"method":"transact","params":["test",{"op":"insert","table":"T","row":{},"uuid-name":"x"},{"op":"select","table":"T","where":[["_uuid","==",["named-uuid","x"]]],"columns":["i"]},{"op":"delete","table":"T","where":[["_uuid","==",["named-uuid","x"]]]}]}
    {"error":null,"id":51,"result":[{"uuid":["uuid","U"]},{"rows":[{"i":0}]},{"count":1}]}
    {"id":52,"method":"transact","params":["test",{"op":"commit","durable":1}]}
    {"error":null,"id":52,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Type mismatch for member 'durable'.","error":"syntax error","syntax":"{\"durable\":1,\"op\":\"commit\"}"}]}
    {"id":53,"method":"transact","params":["test",{"op":"comment"}]}
    {"error":null,"id":53,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Required 'comment' member is missing.","error":"syntax error","syntax":"{\"op\":\"comment\"}"}]}
    {"id":54,"method":"transact","params":["test",{"op":"insert","table":"T","row":{}},{"op":"abort"},{"op":"comment","comment":"x"}]}
    {"error":null,"id":54,"result":[{"uuid":["uuid","U"]},{"details":"aborted by request","error":"aborted"},null]}
    {"id":55,"method":"transact","params":["test",{"op":"insert","table":"T","row":[]}]}
    {"error":null,"id":55,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Type mismatch for member 'row'.","error":"syntax error","syntax":"{\"op\":\"insert\",\"row\":[],\"table\":\"T\"}"}]}
    {"id":56,"method":"transact","params":["test",{"op":"insert","table":"T"}]}
    {"error":null,"id":56,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Required 'row' member is missing.","error":"syntax error","syntax":"{\"op\":\"insert\",\"table\":\"T\"}"}]}
    {"id":57,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":["x"]}]}
    {"error":null,"id":57,"result":[{"details":"Parse error in mutation.","error":"syntax error","syntax":"\"x\""}]}
    {"id":58,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["zz","+=",1]]}]}
    {"error":null,"id":58,"result":[{"details":"No column zz in table T.","error":"unknown column","syntax":"[\"zz\",\"+=\",1]"}]}
    {"id":59,"method":"transact","params":["test",{"op":"select","table":"T","where":[["zz","==",1]]}]}
    {"error":null,"id":59,"result":[{"details":"No column zz in table T.","error":"unknown column","syntax":"[\"zz\",\"==\",1]"}]}
    {"id":60,"method":"transact","params":["test",{"op":"select","table":"T","where":[["m","includes",["map",[]]]],"columns":["i"]}]}
    {"error":null,"id":60,"result":[{"rows":[]}]}
    {"id":61,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["mi","+=",1]]}]}
    {"error":null,"id":61,"result":[{"details":"Type mismatch: \"+=\" operator may not be applied to column mi of type map of up to 2 (integer, integer) pairs.","error":"syntax error","syntax":"[\"mi\",\"+=\",1]"}]}
    {"id":62,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["m","delete",["set",["a"]]],["m","delete","b"],["m","delete",["map",[["a","b"]]]]]}]}
    {"error":null,"id":62,"result":[{"count":0}]}
    {"id":63,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["i","delete",0]]}]}
    {"error":null,"id":63,"result":[{"details":"Type mismatch: \"delete\" operator may not be applied to column i of type integer.","error":"syntax error","syntax":"[\"i\",\"delete\",0]"}]}
    {"id":64,"method":"transact","params":["test",{"op":"wait","table":"T","timeout":1.5,"where":[],"columns":["i"],"until":"==","rows":[{"i":123}]}]}
    {"error":null,"id":64,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Type mismatch for member 'timeout'.","error":"syntax error","syntax":"{\"columns\":[\"i\"],\"op\":\"wait\",\"rows\":[{\"i\":123}],\"table\":\"T\",\"timeout\":1.5,\"until\":\"==\",\"where\":[]}"}]}
    {"id":65,"method":"transact","params":["test",{"op":"wait","table":"T","timeout":-1,"where":[],"columns":["i"],"until":"==","rows":[{"i":123}]}]}
    {"error":null,"id":65,"result":[{"details":"timeout must be nonnegative","error":"syntax error","syntax":"-1"}]}
    {"id":66,"method":"transact","params":["test",{"op":"select","table":"T","where":[["b","<",true]],"columns":["i"]}]}
    {"error":null,"id":66,"result":[{"details":"Type mismatch: \"<\" operator may not be applied to column b of type boolean.","error":"syntax error","syntax":"[\"b\",\"<\",true]"}]}
    {"id":67,"method":"transact","params":["test",{"op":"select","table":"T","where":[["oi","<",3],["oi","!=",4],["oi","includes",["set",[]]]],"columns":["i"]}]}
    {"error":null,"id":67,"result":[{"rows":[]}]}
    {"id":68,"method":"transact","params":["test",{"op":"select","table":"T","where":[["si","<",3]],"columns":["i"]}]}
    {"error":null,"id":68,"result":[{"details":"Type mismatch: \"<\" operator may not be applied to column si of type set of integers.","error":"syntax error","syntax":"[\"si\",\"<\",3]"}]}
    {"id":80,"method":"transact","params":["_Server",{"op":"insert","table":"Database","row":{"model":"standalone","name":"q"}}]}
    {"error":null,"id":80,"result":[{"details":"insert operation not allowed on table in reserved database _Server","error":"not allowed"}]}
    {"id":81,"method":"transact","params":["_Server",{"op":"update","table":"Database","where":[],"row":{"name":"q"}}]}
    {"error":null,"id":81,"result":[{"details":"update operation not allowed on table in reserved database _Server","error":"not allowed"}]}
    {"id":82,"method":"transact","params":["_Server",{"op":"delete","table":"Database","where":[]}]}
    {"error":null,"id":82,"result":[{"details":"delete operation not allowed on table in reserved database _Server","error":"not allowed"}]}
    {"id":83,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"i":1,"oi":3}},{"op":"insert","table":"T","row":{"i":2}}]}
    {"error":null,"id":83,"result":[{"uuid":["uuid","U"]},{"uuid":["uuid","U"]}]}
    {"id":84,"method":"transact","params":["test",{"op":"select","table":"T","where":[["oi","<",4]],"columns":["i"]}]}
    {"error":null,"id":84,"result":[{"rows":[{"i":1}]}]}
    {"id":85,"method":"transact","params":["test",{"op":"select","table":"T","where":[["oi","excludes",3]],"columns":["i"]}]}
    {"error":null,"id":85,"result":[{"rows":[{"i":2}]}]}
    {"id":86,"method":"transact","params":["test",{"op":"select","table":"T","where":[["oi","<",["set",[]]]],"columns":["i"]}]}
    {"error":null,"id":86,"result":[{"details":"set must have exactly one member but 0 are present","error":"syntax error","syntax":"[\"set\",[]]"}]}
    {"id":87,"method":"transact","params":["test",{"op":"select","table":"T","where":[["oi",">=",["set",[3,4]]]],"columns":["i"]}]}
    {"error":null,"id":87,"result":[{"details":"set must have exactly one member but 2 are present","error":"syntax error","syntax":"[\"set\",[3,4]]"}]}
    {"id":88,"method":"transact","params":["test",{"op":"select","table":"T","where":[["si","==",["set",[3,4]]]],"columns":["i"]}]}
    {"error":null,"id":88,"result":[{"rows":[]}]}
    {"id":89,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["oi","+=",["set",[1,2]]]]}]}
    {"error":null,"id":89,"result":[{"details":"set must have exactly one member but 2 are present","error":"syntax error","syntax":"[\"set\",[1,2]]"}]}
    {"id":90,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["si","+=",["set",[1,2]]]]}]}
    {"error":null,"id":90,"result":[{"details":"set must have exactly one member but 2 are present","error":"syntax error","syntax":"[\"set\",[1,2]]"}]}
    {"id":91,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["si","insert",["set",[1,2,3]]],["si","*=",0]]}]}
    {"error":null,"id":91,"result":[{"details":"Result of \"*=\" operation contains duplicates.","error":"constraint violation"}]}
    {"id":92,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["oi","insert",9]]}]}
    {"error":null,"id":92,"result":[{"details":"Attempted to store 2 elements in set of up to 1 integers.","error":"constraint violation"}]}
    {"id":93,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["i","insert",9]]}]}
    {"error":null,"id":93,"result":[{"details":"Type mismatch: \"insert\" operator may not be applied to column i of type integer.","error":"syntax error","syntax":"[\"i\",\"insert\",9]"}]}
    {"id":94,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["ir","insert",["set",[1,2]]],["ir","insert",["set",[3,4]]]]}]}
    {"error":null,"id":94,"result":[{"details":"Attempted to store 4 elements in set of up to 3 integers.","error":"constraint violation"}]}
    {"id":95,"method":"transact","params":["test",{"op":"mutate","table":"W","where":[],"mutations":[["_uuid","insert",["set",[]]]]}]}
    {"error":null,"id":95,"result":[{"details":"Cannot mutate immutable column _uuid in table W.","error":"constraint violation","syntax":"[\"_uuid\",\"insert\",[\"set\",[]]]"}]}
    {"id":96,"method":"transact","params":["test",{"op":"update","table":"T","where":[["_uuid","==",["uuid","00000000-0000-0000-0000-000000000000"]]],"row":{"i":3}}]}
    {"error":null,"id":96,"result":[{"count":0}]}
    {"id":97,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"_uuid":["uuid","00000000-0000-0000-0000-000000000009"]}}]}
    {"error":null,"id":97,"result":[{"uuid":["uuid","U"]}]}
    {"id":98,"method":"transact","params":["test",{"op":"select","table":"T","where":[["_version","==",["uuid","00000000-0000-0000-0000-000000000009"]]]}]}
    {"error":null,"id":98,"result":[{"rows":[]}]}
    {"id":99,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"m":["map",[[1,2]]]}}]}
    {"error":null,"id":99,"result":[{"details":"expected string","error":"syntax error","syntax":"1"}]}
    {"id":100,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"m":["map",[["named-uuid","a"],["x","y"]]]}}]}
    {"error":null,"id":100,"result":[{"uuid":["uuid","U"]}]}
    {"id":101,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"si":["set",1]}}]}
    {"error":null,"id":101,"result":[{"details":"expected [\"set\", <array>]","error":"syntax error","syntax":"[\"set\",1]"}]}
    {"id":102,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"si":["set",[1],2]}}]}
    {"error":null,"id":102,"result":[{"details":"expected [\"set\", <array>]","error":"syntax error","syntax":"[\"set\",[1],2]"}]}
    {"id":103,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"weak1":["named-uuid","foo bar"]}}]}
    {"error":null,"id":103,"result":[{"details":"named-uuid string is not a valid <id>","error":"syntax error","syntax":"[\"named-uuid\",\"foo bar\"]"}]}
    {"id":104,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"weak1":["named-uuid",2]}}]}
    {"error":null,"id":104,"result":[{"details":"expected [\"uuid\", <string>]","error":"syntax error","syntax":"[\"named-uuid\",2]"}]}
    {"id":105,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"weak1":["foo","bar"]}}]}
    {"error":null,"id":105,"result":[{"details":"expected [\"uuid\", <string>]","error":"syntax error","syntax":"[\"foo\",\"bar\"]"}]}
    {"id":106,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"weak1":3}}]}
    {"error":null,"id":106,"result":[{"details":"expected [\"uuid\", <string>]","error":"syntax error","syntax":"3"}]}
    {"id":107,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"s":3}}]}
    {"error":null,"id":107,"result":[{"details":"expected string","error":"syntax error","syntax":"3"}]}
    {"id":108,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"b":3}}]}
    {"error":null,"id":108,"result":[{"details":"expected boolean","error":"syntax error","syntax":"3"}]}
    {"id":109,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"r":"x"}}]}
    {"error":null,"id":109,"result":[{"details":"expected real","error":"syntax error","syntax":"\"x\""}]}
    {"id":110,"method":"transact","params":["test",{"op":"comment","comment":5}]}
    {"error":null,"id":110,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Type mismatch for member 'comment'.","error":"syntax error","syntax":"{\"comment\":5,\"op\":\"comment\"}"}]}
    {"id":111,"method":"transact","params":["test",{"op":"assert"}]}
    {"error":null,"id":111,"result":[{"details":"Parsing ovsdb operation 1 of 1 failed: Required 'lock' member is missing.","error":"syntax error","syntax":"{\"op\":\"assert\"}"}]}
    {"id":112,"method":"transact","params":["test",{"op":"wait","table":"T","where":[],"columns":["i"],"until":"==","rows":[5]}]}
    {"error":null,"id":112,"result":[{"details":"row must be JSON object","error":"syntax error","syntax":"5"}]}
    {"id":113,"method":"transact","params":["test",{"op":"wait","table":"T","where":[],"columns":["i"],"until":"==","rows":[{"oi":5}], "timeout":0}]}
    {"error":null,"id":113,"result":[{"details":"\"where\" clause test failed","error":"timed out"}]}
    {"id":114,"method":"transact","params":["test",{"op":"wait","table":"T","where":[],"until":"==","rows":[{"i":5}], "timeout":0}]}
    {"error":null,"id":114,"result":[{"details":"\"where\" clause test failed","error":"timed out"}]}
    {"id":115,"method":"transact","params":["test",{"op":"insert","table":"C","row":{"name":"x"}},{"op":"comment","comment":"x"},{"op":"insert","table":"T","row":{"i":"q"}},{"op":"comment","comment":"y"}]}
    {"error":null,"id":115,"result":[{"uuid":["uuid","U"]},{},{"details":"expected integer","error":"syntax error","syntax":"\"q\""},null]}
    {"id":116,"method":"convert","params":["test",{"name":"test","tables":{"T":{"columns":{"s":{"type":"integer"}}}}}]}
    {"error":{"details":"expected integer","error":"syntax error","syntax":"\"\""},"id":116}
    {"id":117,"method":"convert","params":["test",{"name":"testx","tables":{"T":{"columns":{"s":{"type":"integer"}}}}}]}
    {"error":{"details":"new schema name (testx) does not match database name (test)","error":"invalid parameters"},"id":117}
    {"id":118,"method":"convert","params":["test",{"name":"test","tables":{"T":{"columns":{"s":{"type":"integr"}}}}}]}
    {"error":{"details":"\"integr\" is not an atomic-type","error":"syntax error","syntax":"\"integr\""},"id":118}
    {"id":119,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"strong":["named-uuid","a"]},"uuid":"00000000-0000-0000-0000-000000000019"},{"op":"insert","table":"C","uuid-name":"a","row":{"kids":["named-uuid","b"],"name":"a"}},{"op":"insert","table":"C","uuid-name":"b","row":{"kids":["named-uuid","a"],"name":"b"}}]}
    {"error":null,"id":119,"result":[{"uuid":["uuid","00000000-0000-0000-0000-000000000019"]},{"uuid":["uuid","U"]},{"uuid":["uuid","U"]}]}
    {"id":120,"method":"transact","params":["test",{"op":"select","table":"C","where":[],"columns":["name"]}]}
    {"error":null,"id":120,"result":[{"rows":[{"name":"a"},{"name":"b"}]}]}
    {"id":121,"method":"transact","params":["test",{"op":"delete","table":"T","where":[]},{"op":"select","table":"C","where":[],"columns":["name"]}]}
    {"error":null,"id":121,"result":[{"count":5},{"rows":[{"name":"a"},{"name":"b"}]}]}
    {"id":122,"method":"transact","params":["test",{"op":"select","table":"C","where":[],"columns":["name"]}]}
    {"error":null,"id":122,"result":[{"rows":[{"name":"a"},{"name":"b"}]}]}
    """#

let indexExchanges = #"""
    {"id":61,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["m","+=",1]]}]}
    {"error":null,"id":61,"result":[{"details":"Type mismatch: \"+=\" operator may not be applied to column m of type map of (string, string) pairs.","error":"syntax error","syntax":"[\"m\",\"+=\",1]"}]}
    {"id":62,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["strong","+=",1]]}]}
    {"error":null,"id":62,"result":[{"details":"Type mismatch: \"+=\" operator may not be applied to column strong of type set of uuids.","error":"syntax error","syntax":"[\"strong\",\"+=\",1]"}]}
    {"id":63,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["e","+=",1]]}]}
    {"error":null,"id":63,"result":[{"details":"Type mismatch: \"+=\" operator may not be applied to column e of type set of up to 1 strings.","error":"syntax error","syntax":"[\"e\",\"+=\",1]"}]}
    {"id":64,"method":"transact","params":["test",{"op":"mutate","table":"W","where":[],"mutations":[["must","+=",1]]}]}
    {"error":null,"id":64,"result":[{"details":"Type mismatch: \"+=\" operator may not be applied to column must of type set of 1 to 2 uuids.","error":"syntax error","syntax":"[\"must\",\"+=\",1]"}]}
    {"id":65,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["ir","+=",1]]}]}
    {"error":null,"id":65,"result":[{"count":0}]}
    {"id":66,"method":"transact","params":["test",{"op":"select","table":"T","where":[["rr","<","x"]]}]}
    {"error":null,"id":66,"result":[{"details":"expected real","error":"syntax error","syntax":"\"x\""}]}
    {"id":67,"method":"transact","params":["test",{"op":"select","table":"T","where":[["e","<","x"]]}]}
    {"error":null,"id":67,"result":[{"details":"Type mismatch: \"<\" operator may not be applied to column e of type set of up to 1 strings.","error":"syntax error","syntax":"[\"e\",\"<\",\"x\"]"}]}
    {"id":68,"method":"transact","params":["test",{"op":"select","table":"T","where":[["ir","<",2]]}]}
    {"error":null,"id":68,"result":[{"details":"Type mismatch: \"<\" operator may not be applied to column ir of type set of up to 3 integers.","error":"syntax error","syntax":"[\"ir\",\"<\",2]"}]}
    {"id":69,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"e":"a b"}}]}
    {"error":null,"id":69,"result":[{"details":"\"a b\" is not one of the allowed values ([green, red])","error":"constraint violation"}]}
    {"id":70,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"mi":["map",[[1,2],[3,4],[5,6]]]}}]}
    {"error":null,"id":70,"result":[{"details":"map must have 0 to 2 members but 3 are present","error":"syntax error","syntax":"[\"map\",[[1,2],[3,4],[5,6]]]"}]}
    {"id":71,"method":"transact","params":["test",{"op":"insert","table":"W","row":{"must":["set",[]]}}]}
    {"error":null,"id":71,"result":[{"details":"set must have 1 to 2 members but 0 are present","error":"syntax error","syntax":"[\"set\",[]]"}]}
    {"id":72,"method":"transact","params":["test",{"op":"insert","table":"I","row":{"a":1}},{"op":"insert","table":"I","row":{"a":1}}]}
    {"error":null,"id":72,"result":[{"uuid":["uuid","U"]},{"uuid":["uuid","U"]},{"details":"Transaction causes multiple rows in \"I\" table to have identical values (1 and []) for index on columns \"a\" and \"b\".  First row, with UUID U, was inserted by this transaction.  Second row, with UUID U, was inserted by this transaction.","error":"constraint violation"}]}
    {"id":73,"method":"transact","params":["test",{"op":"insert","table":"I","row":{"a":1,"b":"x"}}]}
    {"error":null,"id":73,"result":[{"uuid":["uuid","U"]}]}
    {"id":74,"method":"transact","params":["test",{"op":"insert","table":"I","row":{"a":1,"b":"x"}}]}
    -
    {"id":75,"method":"transact","params":["test",{"op":"insert","table":"I","row":{"a":2,"b":"x"}},{"op":"update","table":"I","where":[["a","==",2]],"row":{"a":1}}]}
    {"error":null,"id":75,"result":[{"uuid":["uuid","U"]},{"count":1},{"details":"Transaction causes multiple rows in \"I\" table to have identical values (1 and x) for index on columns \"a\" and \"b\".  First row, with UUID U, existed in the database before this transaction and was not modified by the transaction.  Second row, with UUID U, was inserted by this transaction.","error":"constraint violation"}]}
    {"id":76,"method":"transact","params":["test",{"op":"insert","table":"I","row":{"a":2,"b":"x"}}]}
    {"error":null,"id":76,"result":[{"uuid":["uuid","U"]}]}
    {"id":77,"method":"transact","params":["test",{"op":"update","table":"I","where":[["a","==",2]],"row":{"a":1}}]}
    -
    {"id":78,"method":"transact","params":["test",{"op":"delete","table":"I","where":[["a","==",2]]},{"op":"insert","table":"I","row":{"a":2,"b":"x"}},{"op":"update","table":"I","where":[],"row":{"a":5}}]}
    -
    {"id":79,"method":"convert","params":["test",{"name":"test"}]}
    {"error":{"details":"Parsing database schema failed: Required 'tables' member is missing.","error":"syntax error","syntax":"{\"name\":\"test\"}"},"id":79}
    {"id":80,"method":"convert","params":["test",{"name":"test","tables":{},"foo":1}]}
    {"error":{"details":"Parsing database schema failed: Member 'foo' is present but not allowed here.","error":"syntax error","syntax":"{\"foo\":1,\"name\":\"test\",\"tables\":{}}"},"id":80}
    {"id":81,"method":"convert","params":["test",{"name":"test","tables":{"T":{}}}]}
    {"error":{"details":"Parsing table schema for table T failed: Required 'columns' member is missing.","error":"syntax error","syntax":"{}"},"id":81}
    {"id":82,"method":"convert","params":["test",{"name":"test","tables":{"T":{"columns":{}}}}]}
    {"error":{"details":"table must have at least one column","error":"syntax error","syntax":"{\"columns\":{}}"},"id":82}
    {"id":83,"method":"convert","params":["test",{"name":"test","tables":{"_T":{"columns":{"a":{"type":"string"}}}}}]}
    {"error":{"details":"names beginning with \"_\" are reserved","error":"syntax error","syntax":"{\"name\":\"test\",\"tables\":{\"_T\":{\"columns\":{\"a\":{\"type\":\"string\"}}}}}"},"id":83}
    {"id":84,"method":"convert","params":["test",{"name":"test","tables":{"T":{"columns":{"_a":{"type":"string"}}}}}]}
    {"error":{"details":"names beginning with \"_\" are reserved","error":"syntax error","syntax":"{\"columns\":{\"_a\":{\"type\":\"string\"}}}"},"id":84}
    {"id":85,"method":"convert","params":["test",{"name":"test","tables":{"T":{"columns":{"a":{"type":{"key":{"type":"uuid","refTable":"Q"}}}}}}}]}
    {"error":{"details":"column a key refers to undefined table Q","error":"syntax error"},"id":85}
    {"id":86,"method":"convert","params":["test",{"name":"test","tables":{"T":{"columns":{"a":{"type":{"key":"string","min":2}}}}}}]}
    {"error":{"details":"ovsdb type fails constraint checks","error":"syntax error","syntax":"{\"key\":\"string\",\"min\":2}"},"id":86}
    {"id":87,"method":"convert","params":["test",{"name":"test","tables":{"T":{"columns":{"a":{"type":{"key":"string","max":0}}}}}}]}
    {"error":{"details":"ovsdb type fails constraint checks","error":"syntax error","syntax":"{\"key\":\"string\",\"max\":0}"},"id":87}
    {"id":88,"method":"convert","params":["test",{"name":"test","tables":{"T":{"columns":{"a":{"type":"string"}},"indexes":[["b"]]}}}]}
    {"error":{"details":"b is not a valid column name","error":"syntax error","syntax":"[\"b\"]"},"id":88}
    {"id":89,"method":"convert","params":["test",{"name":"test","tables":{"T":{"columns":{"a":{"type":"string","ephemeral":true}},"indexes":[["a"]]}}}]}
    {"error":{"details":"ephemeral columns (such as a) may not be indexed","error":"syntax error","syntax":"{\"columns\":{\"a\":{\"ephemeral\":true,\"type\":\"string\"}},\"indexes\":[[\"a\"]]}"},"id":89}
    {"id":90,"method":"convert","params":["test",{"name":"test","tables":{"T":{"columns":{"a":{"type":{"key":{"type":"integer","minInteger":5,"maxInteger":1}}}}}}}]}
    {"error":{"details":"minInteger exceeds maxInteger","error":"syntax error","syntax":"{\"maxInteger\":1,\"minInteger\":5,\"type\":\"integer\"}"},"id":90}
    {"id":91,"method":"convert","params":["test",{"name":"test","version":"1","tables":{"T":{"columns":{"a":{"type":"string"}}}}}]}
    {"error":{"details":"schema version \"1\" not in format x.y.z","error":"syntax error","syntax":"{\"name\":\"test\",\"tables\":{\"T\":{\"columns\":{\"a\":{\"type\":\"string\"}}}},\"version\":\"1\"}"},"id":91}
    {"id":92,"method":"convert","params":["test",{"name":"test","tables":{"T":{"columns":{"a":{"type":{"key":{"type":"integer","enum":["set",[]]}}}}}}}]}
    {"error":{"details":"set must have 1 to 4294967295 members but 0 are present","error":"syntax error","syntax":"[\"set\",[]]"},"id":92}
    {"id":93,"method":"convert","params":["test",{"name":"test","tables":{"T":{"columns":{"a":{"type":{"key":{"type":"uuid","refTable":"T","refType":"x"}}}}}}}]}
    {"error":{"details":"refType must be \"strong\" or \"weak\" (not \"x\")","error":"syntax error","syntax":"{\"refTable\":\"T\",\"refType\":\"x\",\"type\":\"uuid\"}"},"id":93}
    {"id":94,"method":"convert","params":["test",{"name":"test","tables":{"T":{"columns":{"a":{"type":"string"}},"maxRows":0}}}]}
    {"error":{"details":"maxRows must be at least 1","error":"syntax error","syntax":"{\"columns\":{\"a\":{\"type\":\"string\"}},\"maxRows\":0}"},"id":94}
    {"id":95,"method":"convert","params":["test",5]}
    {"error":{"details":"Parsing database schema failed: Object expected.","error":"syntax error"},"id":95}
    """#

let mutationExchanges = #"""
    {"id":1,"method":"transact","params":["test",{"op":"select","table":"T","where":[["e","==","blue"]]}]}
    {"error":null,"id":1,"result":[{"details":"blue is not one of the allowed values ([green, red])","error":"constraint violation"}]}
    {"id":2,"method":"transact","params":["test",{"op":"select","table":"T","where":[["ir","includes",50]]}]}
    {"error":null,"id":2,"result":[{"details":"50 is not in the valid range 1 to 10 (inclusive)","error":"constraint violation"}]}
    {"id":3,"method":"transact","params":["test",{"op":"select","table":"T","where":[["ir","includes",["set",[1,2,3,4]]]]}]}
    {"error":null,"id":3,"result":[{"details":"set must have 0 to 3 members but 4 are present","error":"syntax error","syntax":"[\"set\",[1,2,3,4]]"}]}
    {"id":4,"method":"transact","params":["test",{"op":"select","table":"T","where":[["ir","excludes",["set",[1,2,3,4]]]]}]}
    {"error":null,"id":4,"result":[{"rows":[]}]}
    {"id":5,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["ir","+=",50]]}]}
    {"error":null,"id":5,"result":[{"count":0}]}
    {"id":6,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["ir","delete",50]]}]}
    {"error":null,"id":6,"result":[{"details":"50 is not in the valid range 1 to 10 (inclusive)","error":"constraint violation"}]}
    {"id":7,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["ir","delete",["set",[1,2,3,4]]]]}]}
    {"error":null,"id":7,"result":[{"count":0}]}
    {"id":8,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["mi","insert",["map",[[1,2],[3,4],[5,6]]]]]}]}
    {"error":null,"id":8,"result":[{"details":"map must have 0 to 2 members but 3 are present","error":"syntax error","syntax":"[\"map\",[[1,2],[3,4],[5,6]]]"}]}
    {"id":9,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["mi","delete",["set",[1,2,3]]]]}]}
    {"error":null,"id":9,"result":[{"count":0}]}
    {"id":10,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["mi","delete",["map",[[1,2],[3,4],[5,6]]]]]}]}
    {"error":null,"id":10,"result":[{"count":0}]}
    {"id":11,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["mi","delete","x"]]}]}
    {"error":null,"id":11,"result":[{"details":"expected integer","error":"syntax error","syntax":"\"x\""}]}
    {"id":12,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"i":5,"ir":["set",[2,4]],"mi":["map",[[1,2]]],"r":1.5},"uuid":"00000000-0000-0000-0000-000000000005"}]}
    {"error":null,"id":12,"result":[{"uuid":["uuid","00000000-0000-0000-0000-000000000005"]}]}
    {"id":13,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["mi","insert",["map",[[1,3],[2,9]]]],["ir","-=",1],["r","*=",4],["i","%=",3],["i","/=",2]]},{"op":"select","table":"T","where":[],"columns":["mi","ir","r","i"]}]}
    {"error":null,"id":13,"result":[{"count":1},{"rows":[{"i":1,"ir":["set",[1,3]],"mi":["map",[[1,2],[2,9]]],"r":6}]}]}
    {"id":14,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["r","*=",1e308],["r","*=",1e308]]}]}
    {"error":null,"id":14,"result":[{"details":"Result of \"*=\" operation is out of range.","error":"range error"}]}
    {"id":15,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["r","/=",0]]}]}
    {"error":null,"id":15,"result":[{"details":"Division by zero.","error":"domain error"}]}
    {"id":16,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[["i","%=",0]]}]}
    {"error":null,"id":16,"result":[{"details":"Division by zero.","error":"domain error"}]}
    {"id":17,"method":"transact","params":["test",{"op":"select","table":"T","where":[["ir","includes",["set",[1]]],["mi","includes",["map",[[1,2]]]],["mi","excludes",["map",[[1,4]]]]],"columns":["i"]}]}
    {"error":null,"id":17,"result":[{"rows":[{"i":1}]}]}
    {"id":18,"method":"transact","params":["test",{"op":"select","table":"T","where":[["i","includes",["set",[]]]],"columns":["i"]}]}
    {"error":null,"id":18,"result":[{"details":"set must have exactly one member but 0 are present","error":"syntax error","syntax":"[\"set\",[]]"}]}
    {"id":19,"method":"transact","params":["test",{"op":"select","table":"T","where":[["i","includes",["set",[1,2]]]],"columns":["i"]}]}
    {"error":null,"id":19,"result":[{"details":"set must have exactly one member but 2 are present","error":"syntax error","syntax":"[\"set\",[1,2]]"}]}
    {"id":20,"method":"transact","params":["test",{"op":"select","table":"T","where":[false],"columns":["i"]}]}
    {"error":null,"id":20,"result":[{"rows":[]}]}
    {"id":21,"method":"transact","params":["test",{"op":"select","table":"T","where":[["i","==",1],true],"columns":["i"]}]}
    {"error":null,"id":21,"result":[{"rows":[{"i":1}]}]}
    {"id":22,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"i":5},"uuid-name":"z","uuid":"00000000-0000-0000-0000-000000000006"},{"op":"update","table":"T","where":[["_uuid","==",["named-uuid","z"]]],"row":{"u":["named-uuid","z"]}},{"op":"select","table":"T","where":[["i","==",5]],"columns":["_uuid","u"]}]}
    {"error":null,"id":22,"result":[{"uuid":["uuid","00000000-0000-0000-0000-000000000006"]},{"count":1},{"rows":[{"_uuid":["uuid","00000000-0000-0000-0000-000000000006"],"u":["uuid","00000000-0000-0000-0000-000000000006"]}]}]}
    {"id":23,"method":"transact","params":["test",{"op":"delete","table":"T","where":[["_uuid","==",["uuid","00000000-0000-0000-0000-000000000006"]]]},{"op":"insert","table":"T","row":{"i":5},"uuid":"00000000-0000-0000-0000-000000000006"}]}
    {"error":null,"id":23,"result":[{"count":1},{"details":"This UUID would duplicate a UUID already present within the table or deleted within the same transaction.","error":"duplicate uuid","syntax":"\"00000000-0000-0000-0000-000000000006\""}]}
    {"id":24,"method":"transact","params":["test",{"op":"update","table":"T","where":[],"row":{"u":["named-uuid","q"]}},{"op":"insert","table":"T","row":{"i":5},"uuid":"00000000-0000-0000-0000-000000000008","uuid-name":"q"}]}
    {"error":null,"id":24,"result":[{"count":2},{"uuid":["uuid","00000000-0000-0000-0000-000000000008"]}]}
    {"id":25,"method":"transact","params":["test",{"op":"insert","table":"W","row":{"must":["named-uuid","c"]}},{"op":"insert","table":"C","row":{"name":"cc"},"uuid-name":"c"}]}
    {"error":null,"id":25,"result":[{"uuid":["uuid","U"]},{"uuid":["uuid","U"]},{"details":"Deletion of 1 weak reference(s) to deleted (or never-existing) rows from column \"must\" in \"W\" row U (inserted within this transaction) caused this column to become empty, but constraints on this column disallow an empty column.","error":"constraint violation"}]}
    {"id":26,"method":"transact","params":["test",{"op":"insert","table":"W","row":{"must":["named-uuid","c"]}},{"op":"insert","table":"C","row":{"name":"cc"},"uuid-name":"c"},{"op":"insert","table":"T","row":{"strong":["named-uuid","c"]},"uuid":"00000000-0000-0000-0000-000000000009"}]}
    {"error":null,"id":26,"result":[{"uuid":["uuid","U"]},{"uuid":["uuid","U"]},{"uuid":["uuid","00000000-0000-0000-0000-000000000009"]}]}
    {"id":27,"method":"transact","params":["test",{"op":"delete","table":"T","where":[]}]}
    {"error":null,"id":27,"result":[{"count":4},{"details":"Deletion of 1 weak reference(s) to deleted (or never-existing) rows from column \"must\" in \"W\" row U caused this column to become empty, but constraints on this column disallow an empty column.","error":"constraint violation"}]}
    {"id":28,"method":"transact","params":["test",{"op":"select","table":"T","where":[],"columns":[]}]}
    {"error":null,"id":28,"result":[{"rows":[{}]}]}
    {"id":29,"method":"transact","params":["test",{"op":"select","table":"T","where":[["i","==",1],"x"],"columns":["i"]}]}
    {"error":null,"id":29,"result":[{"details":"Parse error in condition.","error":"syntax error","syntax":"\"x\""}]}
    {"id":30,"method":"transact","params":["test",{"op":"update","table":"T","where":[],"row":{}}]}
    {"error":null,"id":30,"result":[{"count":4}]}
    {"id":31,"method":"transact","params":["test",{"op":"mutate","table":"T","where":[],"mutations":[]}]}
    {"error":null,"id":31,"result":[{"count":4}]}
    {"id":32,"method":"transact","params":["test",{"op":"select","table":"T","where":[["r","<",2],["r",">=",-1e9]],"columns":["i"]}]}
    {"error":null,"id":32,"result":[{"rows":[{"i":5},{"i":0}]}]}
    {"id":33,"method":"transact","params":["test",{"op":"mutate","table":"W","where":[],"mutations":[["must","delete",["set",[]]],["must","insert",["uuid","00000000-0000-0000-0000-000000000009"]]]}]}
    {"error":null,"id":33,"result":[{"count":1}]}
    {"id":34,"method":"transact","params":["test",{"op":"insert","table":"T","row":{"sl":"éé"}}]}
    {"error":null,"id":34,"result":[{"uuid":["uuid","U"]}]}
    """#

