import GlmcIR

/// Reads the values of a GGUF file that describe its architecture, whose keys begin with its name, and keeps account of them: `finish` refuses what was not read.
struct GgufConfig {
    let architecture: String
    private let values: [String: JSONValue]
    private let path: String
    private var known: Set<String> = []
    /// What was read, as config.json would say it.
    private(set) var members: [String: JSONValue] = [:]

    init(_ file: GgufFile) throws {
        (values, path) = (file.values, file.path)
        guard let architecture = values["general.architecture"]?.string else { throw Diagnostic(.invalid, "is missing", at: ["general.architecture"]) }
        self.architecture = architecture
    }

    private func key(_ name: String) -> String { "\(architecture).\(name)" }

    /// The value of a key; one number where a list holds the same for every layer.
    /// - Throws: where layers differ.
    mutating func value(_ name: String) throws -> JSONValue? {
        known.insert(key(name))
        guard let value = values[key(name)] else { return nil }
        guard let list = value.array, let first = list.first else { return value }
        guard list.allSatisfy({ $0 == first }) else { throw Diagnostic(.unsupported, "layers with different values are not supported", at: [key(name)]) }
        return first
    }

    /// Takes a value over; nothing where it is absent.
    mutating func take(_ name: String, as other: String) throws { if let value = try value(name) { members[other] = value } }

    mutating func set(_ name: String, _ value: JSONValue) { members[name] = value }

    /// A whole number from 1.
    mutating func size(_ name: String) throws -> Int? {
        try value(name).map { value in
            guard let size = value.int, (1...ConfigReader.largestSize).contains(size) else { throw Diagnostic(.invalid, "must be a whole number from 1 to \(ConfigReader.largestSize)", at: [key(name)]) }
            return size
        }
    }

    /// - Throws: where a key has a value and it is another.
    mutating func demand(_ name: String, is wanted: JSONValue) throws {
        guard let value = try value(name), value != wanted else { return }
        throw Diagnostic(.unsupported, "is \(value.kind), and only \(wanted.kind) is supported", at: [key(name)])
    }

    mutating func demandedSize(_ name: String) throws -> Int {
        guard let size = try size(name) else { throw Diagnostic(.invalid, "is missing", at: [key(name)]) }
        return size
    }

    /// Whether there are experts.
    var isMixture: Bool { values[key("expert_count")]?.int ?? 0 > 0 }

    /// Refuses what was not read.
    /// - Parameters:
    ///   - irrelevant: keys without influence on results.
    ///   - counts: keys that say with a 0 that there is nothing of the kind.
    func finish(irrelevant: Set<String>, counts: Set<String>) throws {
        let prefix = architecture + "."
        let rest = values.filter { own, value in
            let name = String(own.dropFirst(prefix.count))
            return own.hasPrefix(prefix) && !known.contains(own) && !irrelevant.contains(name) && !(counts.contains(name) && value == 0)
        }.keys.sorted()
        guard rest.isEmpty else { throw Diagnostics(rest.map { Diagnostic(.unsupported, "may change the result and is not understood (its value is \(values[$0]?.kind ?? "null"))", at: [$0]) }) }
    }
}
