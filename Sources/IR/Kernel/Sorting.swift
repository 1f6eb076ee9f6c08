// Heaps and sorting for ops that order their data, in place and without recursion.

/// Items `0..<count` that can be compared and exchanged by position.
struct SortableItems {
    /// Whether the item at one position belongs before the item at the other. May emit statements.
    var precedes: (Expr, Expr, inout KernelBuilder) throws -> Expr
    var swap: (Expr, Expr, inout KernelBuilder) -> Void
}

extension KernelBuilder {
    /// Restores the heap below `start`, where the item that comes last in order is on top.
    mutating func siftDown(_ items: SortableItems, from start: Expr, count: Expr) throws {
        let parent = declare(start, "parent")
        let child = declare(start * .int(2) + .int(1), "child")
        try repeatWhile(.variable(child) < count) { builder in
            try builder.when(.variable(child) + .int(1) < count) { builder in
                let right = Expr.variable(child) + .int(1)
                let isLater = try items.precedes(.variable(child), right, &builder)
                builder.when(isLater) { $0.emit(.assign(child, right)) }
            }
            let sinks = try items.precedes(.variable(parent), .variable(child), &builder)
            builder.when(sinks) { builder in
                items.swap(.variable(parent), .variable(child), &builder)
                builder.emit(.assign(parent, .variable(child)))
                builder.emit(.assign(child, .variable(parent) * .int(2) + .int(1)))
            } else: { builder in
                builder.emit(.assign(child, count))
            }
        }
    }

    /// Makes a heap of the items `0..<count`: the one that comes last in order is at position 0.
    mutating func heapify(_ items: SortableItems, count: Expr) throws {
        try loop("h", to: count / .int(2)) { builder, i in
            try builder.siftDown(items, from: builder.bind(count / .int(2) - .int(1) - i, "start"), count: count)
        }
    }

    /// Turns a heap into the sorted order.
    mutating func sortHeap(_ items: SortableItems, count: Expr) throws {
        try loop("s", to: count - .int(1)) { builder, i in
            let last = builder.bind(count - .int(1) - i, "last")
            items.swap(.int(0), last, &builder)
            try builder.siftDown(items, from: .int(0), count: last)
        }
    }

    /// Sorts the items `0..<count`.
    mutating func sort(_ items: SortableItems, count: Expr) throws {
        try heapify(items, count: count)
        try sortHeap(items, count: count)
    }
}

extension Expr {
    /// Whether scalar `a` comes strictly before `b` in ascending (or descending) order, NaNs always last.
    static func precedes(_ a: Expr, _ b: Expr, descending: Bool) -> Expr {
        let order = Expr.binary(descending ? .greater : .less, a, b)
        guard a.type.element.isFloat else { return order }
        return order || (.unary(.isNaN, b) && .unary(.not, .unary(.isNaN, a)))
    }

    /// The expression with a named dimension replaced by a value, for kernels that address memory by a size they have just found.
    func replacing(dimension name: String?, by value: Expr) -> Expr {
        guard let name else { return self }
        if self == .dimension(name) { return value }
        return mapChildren { $0.replacing(dimension: name, by: value) }
    }
}

extension TensorView {
    /// A store into a view whose shape depends on a dimension that this kernel defines as `size`.
    func store(_ value: Expr, _ index: [Expr], where name: String?, is size: Expr) -> Statement {
        .store(Access(buffer, address(index).replacing(dimension: name, by: size), KernelType(element)), value.converted(to: element))
    }
}

/// `evaluate`'s order of numbers: NaNs last.
func precedes(_ a: Double, _ b: Double, descending: Bool) -> Bool {
    (descending ? a > b : a < b) || (b.isNaN && !a.isNaN)
}
