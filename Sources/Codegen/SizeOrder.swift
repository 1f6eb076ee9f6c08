import GlmcIR

extension Program {
    /// Demands that sizes that the data make are found before they are read.
    /// - Throws: `Diagnostic` of kind `internal` that names the kernel and the size.
    func verifySizeOrder() throws {
        guard !bounds.isEmpty else { return }
        var found: Set<String> = []
        try verify(steps, &found)
    }

    private func verify(_ steps: [Step], _ found: inout Set<String>) throws {
        func demand(_ names: Set<String>, by reader: String) throws {
            guard let name = names.filter({ bounds[$0] != nil && !found.contains($0) }).min() else { return }
            throw Diagnostic(.internal, "\(reader) reads the size \(name) before it is found")
        }
        for step in steps {
            switch step {
            case .launch(let launch):
                let kernel = kernel(of: launch), sizes = kernel.sizes
                try demand(sizes.read, by: "the kernel \(kernel.name)")
                found.formUnion(sizes.defined)
            case .define(let name, let size):
                try demand(Set(size.dimensions), by: "the size \(name)")
                found.insert(name)
            case .conditional(_, let then, let otherwise):
                var other = found
                try verify(then, &found)
                try verify(otherwise, &other)
                found.formUnion(other)
            case .demand: break
            case .loop(let loop):
                try verify(loop.body, &found)
                if let iterations = loop.iterations { found.insert(iterations) }
            }
        }
    }
}

extension KernelFunction {
    /// The dimensions that a kernel reads, and those that it gives their size.
    fileprivate var sizes: (read: Set<String>, defined: Set<String>) {
        var read: Set<String> = [], defined: Set<String> = []
        for statement in body {
            _ = statement.anyExpression { expression in
                if case .dimension(let name) = expression { read.insert(name) }
                return false
            }
            _ = statement.contains { part in
                if case .setDimension(let name, _) = part { defined.insert(name) }
                return false
            }
        }
        return (read, defined)
    }
}
