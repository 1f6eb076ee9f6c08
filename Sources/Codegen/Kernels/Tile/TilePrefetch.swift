import GlmcIR

/// What a tile's epilogue reads besides the accumulators, asked for before the reduction: a residual comes from far away, by short
/// pieces of many rows, which processors do not foresee.
enum TilePrefetch {
    /// Prefetches for the vector loads of `rows`, the statements that store each row of one tile. Loads that every row does (a
    /// bias) are left out, and so are those whose address is only known within the statements.
    static func statements(for rows: [[Statement]]) -> [Statement] {
        guard rows.count > 1 else { return [] }
        let loads = rows.map { row in row.flatMap(vectorLoads) }
        var timesSeen: [Access: Int] = [:]
        for row in loads { for access in Set(row) { timesSeen[access, default: 0] += 1 } }
        let local = Set(rows.joined().compactMap { statement -> Variable? in
            switch statement {
            case .bind(let name, _), .declare(let name, _): name
            default: nil
            }
        })
        return loads.joined().filter { access in
            timesSeen[access] == 1 && !local.contains { Affine.mentions($0, in: access.index) }
        }.map { .prefetch(Access($0.buffer, $0.index, KernelType($0.type.element))) }
    }

    /// The vector loads in straight-line code; none of anything else.
    private static func vectorLoads(_ statement: Statement) -> [Access] {
        switch statement {
        case .bind(_, let value), .store(_, let value): vectorLoads(value)
        default: []
        }
    }

    private static func vectorLoads(_ expr: Expr) -> [Access] {
        if case .load(let access) = expr, access.type.lanes > 1 { return [access] }
        return expr.children.flatMap(vectorLoads)
    }
}
