/// What a tile generator must know of a processor core.
public struct RegisterModel: Hashable, Sendable {
    /// 32-bit lanes of one vector register; 1 for plain scalar code.
    public var lanes: Int
    /// Lanes of a narrower register whose operations cost less; `lanes` where there is none.
    public var narrowLanes: Int { lanes >= 16 ? lanes / 2 : lanes }
    /// Vector registers that the compiler may use.
    public var registers: Int
    /// Fused multiply-adds that start per cycle, and their latency in cycles.
    public var multiplyAddsPerCycle: Double
    public var latency: Double
    /// Vector or broadcast loads per cycle.
    public var loadsPerCycle: Double
    /// Bytes of second-level cache that one thread can count on.
    public var cacheBytes: Int

    public init(lanes: Int, registers: Int, multiplyAddsPerCycle: Double = 2, latency: Double = 4, loadsPerCycle: Double = 2, cacheBytes: Int = 1 << 20) {
        self.lanes = lanes
        self.registers = registers
        self.multiplyAddsPerCycle = multiplyAddsPerCycle
        self.latency = latency
        self.loadsPerCycle = loadsPerCycle
        self.cacheBytes = cacheBytes
    }
}
