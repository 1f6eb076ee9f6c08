import Testing

@testable import GlmcIR

/// Floats in values that are compared are told apart by their bits.
@Suite struct BitwiseTests {
    @Test func constantsOfExpressions() {
        #expect(Expr.float(0, .f32) != .float(-0.0, .f32))
        #expect(Expr.float(.nan, .f32) == .float(.nan, .f32))
        #expect(Set([Expr.float(0, .f32), .float(-0.0, .f32), .float(.nan, .f32), .float(.nan, .f32)]).count == 3)
    }

    /// Every attribute that takes floats, of every op.
    @Test(arguments: OpRegistry.standard.entries.keys.sorted()) func attributes(_ mnemonic: String) throws {
        let entry = try #require(OpRegistry.standard.entries[mnemonic])
        check(entry.type.init())
    }

    private func check<O: Op>(_ op: O) {
        for attribute in O.attributes {
            func with(_ value: Double) -> O? {
                var changed = op
                let isList = switch attribute.get(op) { case .floats: true; case .integers: attribute.kind == "floats"; default: false }
                return attribute.set(&changed, isList ? .floats(Bitwise([value])) : .float(Bitwise(value))) ? changed : nil
            }
            guard attribute.kind == Double.attributeKind || attribute.kind == Double.listKind, let zero = with(0), let minus = with(-0.0), let nan = with(.nan) else { continue }
            #expect(zero != minus && zero == zero, "\(O.mnemonic).\(attribute.name)")
            #expect(nan == nan && nan != zero, "\(O.mnemonic).\(attribute.name)")
            #expect(Set([zero, minus, nan, nan]).count == 3, "\(O.mnemonic).\(attribute.name)")
        }
    }
}
