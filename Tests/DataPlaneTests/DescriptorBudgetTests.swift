import Testing

@testable import Gateway

@Suite struct DescriptorBudgetTests {
    struct Case: Sendable {
        let descriptors, wanted, workers, listeners, connections: Int
    }

    @Test(
        "Clients may use half of the free descriptors, and no more than the file says",
        arguments: [
            Case(descriptors: 1_048_576, wanted: 50_000, workers: 8, listeners: 3, connections: 50_000),
            Case(descriptors: 20_000, wanted: 50_000, workers: 2, listeners: 3, connections: 9862),
            Case(descriptors: 20_000, wanted: 100, workers: 2, listeners: 3, connections: 100),
            Case(descriptors: 1024, wanted: 50_000, workers: 2, listeners: 3, connections: 374),
            // Other uses would need all descriptors, so connections get half of them.
            Case(descriptors: 300, wanted: 50_000, workers: 64, listeners: 100, connections: 75),
            Case(descriptors: 1, wanted: 50_000, workers: 1, listeners: 1, connections: 1),
            Case(descriptors: .max, wanted: 1_000_000, workers: 1024, listeners: 201, connections: 1_000_000),
        ])
    func connections(_ sample: Case) {
        let budget = DescriptorBudget(
            descriptors: sample.descriptors, wanted: sample.wanted, workers: sample.workers,
            listeners: sample.listeners)
        #expect(budget.connections == sample.connections)
        #expect(budget.ceiling <= sample.descriptors)
        // Even if every client has an upstream connection, the descriptors stay below the ceiling.
        if sample.descriptors > 1 { #expect(2 * budget.connections <= budget.ceiling) }
    }

    @Test("The log says why the limit is lower than in the file")
    func description() {
        let few = DescriptorBudget(descriptors: 1024, wanted: 50_000, workers: 2, listeners: 3)
        #expect("\(few)".hasPrefix("at most 374 connections of clients at once, not 50000: "))
        #expect("\(few)".hasSuffix("; one client may have 93 of them"))
        let enough = DescriptorBudget(descriptors: 1024, wanted: 100, workers: 2, listeners: 3)
        #expect("\(enough)" == "at most 100 connections of clients at once; one client may have 25 of them")
        #expect(few.isShort && !enough.isShort)
    }

    @Test("A gateway with too few descriptors says how many it needs")
    func shortage() {
        let needed = DescriptorBudget.needed(workers: 2, listeners: 3)
        func budget(_ descriptors: Int) -> DescriptorBudget {
            DescriptorBudget(descriptors: descriptors, wanted: 50_000, workers: 2, listeners: 3)
        }
        #expect(budget(needed).shortage == nil)
        #expect(
            budget(needed - 1).shortage?.description
                == "this process may have \(needed - 1) descriptors open, and the gateway needs \(needed)"
                + " (workers: 2, listening addresses: 3): raise the limit, as LimitNOFILE= of a unit or ulimit -n")
        // The descriptors of the gateway itself, and of eight clients with an upstream each, stay below the ceiling.
        #expect(budget(needed).ceiling >= 28 + 2 * 8)
        #expect(DescriptorBudget.needed(workers: 64, listeners: 4) < 1024)
    }

    struct ClientCase: Sendable {
        let connections: Int
        let perClient, inForce: Int?
        var isMoot = false
    }

    @Test(
        "One client may have what the file says, else a quarter of all connections, at most 1000",
        arguments: [
            ClientCase(connections: 50_000, perClient: nil, inForce: 1000),
            ClientCase(connections: 4000, perClient: nil, inForce: 1000),
            ClientCase(connections: 3999, perClient: nil, inForce: 999),
            ClientCase(connections: 800, perClient: nil, inForce: 200),
            ClientCase(connections: 3, perClient: nil, inForce: 1),
            ClientCase(connections: 1, perClient: nil, inForce: 1),
            ClientCase(connections: 800, perClient: 0, inForce: nil),
            ClientCase(connections: 800, perClient: 799, inForce: 799),
            ClientCase(connections: 800, perClient: 800, inForce: 800, isMoot: true),
            ClientCase(connections: 800, perClient: 1000, inForce: 800, isMoot: true),
            ClientCase(connections: 50_000, perClient: 5000, inForce: 5000),
        ])
    func perClient(_ sample: ClientCase) {
        let budget = DescriptorBudget(
            descriptors: .max, wanted: sample.connections, perClient: sample.perClient, workers: 1, listeners: 1)
        #expect(budget.perClient == sample.inForce)
        #expect(budget.isShort == sample.isMoot)
        #expect("\(budget)".contains("may have all of them") == sample.isMoot)
    }
}
