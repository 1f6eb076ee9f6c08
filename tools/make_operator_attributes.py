#!/usr/bin/env python3
"""Writes Sources/Frontend/ONNX/OperatorAttributes.swift: which attributes every ONNX operator has, from which version on.

usage: make_operator_attributes.py OUT.swift
Needs: onnx (1.23.2 made the committed file), whose operator schemas are the specification's."""
import sys
from onnx import defs

HEAD = '''/// Which attributes an operator has, by version of its operator set. Written by tools/make_operator_attributes.py from the operator
/// schemas of the onnx package; not edited by hand.
enum OperatorAttributes {
    /// The attributes of an operator as its version `version` has them, in alphabetical order; nil for an operator that ONNX does not define.
    static func names(_ domain: String, _ op: String, version: Int) -> [Substring]? {
        table[domain + "." + op]?.last { $0.since <= version }?.names
    }

    private static let table: [String: [(since: Int, names: [Substring])]] = {
        var table: [String: [(since: Int, names: [Substring])]] = [:]
        for line in rows.split(separator: "\\n") {
            let words = line.split(separator: " ")
            table[String(words[0]), default: []].append((Int(words[1]) ?? 0, Array(words.dropFirst(2))))
        }
        return table
    }()

    /// DOMAIN.OPERATOR, the first version with these attributes, and the attributes.
    private static let rows = """
'''


def rows():
    schemas = {}
    for schema in defs.get_all_schemas_with_history():
        schemas.setdefault(f"{schema.domain}.{schema.name}", {})[schema.since_version] = sorted(schema.attributes)
    for name, versions in sorted(schemas.items()):
        last = None
        for version, attributes in sorted(versions.items()):
            if attributes != last: yield " ".join([name, str(version), *attributes])
            last = attributes


with open(sys.argv[1], "w") as out:
    out.write(HEAD)
    for row in rows():
        line = "       "
        for word in row.split(" "):  # long rows go on behind a backslash
            if len(line) + len(word) > 145:
                out.write(line + " \\\n")
                line = "          "
            line += " " + word
        out.write(line + "\n")
    out.write('        """\n}\n')
