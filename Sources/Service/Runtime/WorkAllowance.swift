import Ports
package import Values

/// Bounds how much of the server's time the expressions of one tenant take (S15).
///
/// An evaluation that takes longer than ``freeTime`` runs up a debt, which time pays off at a tenth of its
/// pace. A tenant whose debt is above ``debtMax`` has its requests turned away unread and its runs wait,
/// so that expressions which never end cannot keep the server's threads from the others. The operator
/// is exempt: payments are told at its address.
package final class WorkAllowance: @unchecked Sendable {
    // Unchecked: `debts` is read and written under `lock`.
    private struct Debt {
        var duration: Duration
        /// When it was that, by the gauge's time.
        var at: Duration

        func left(at now: Duration) -> Duration { max(.zero, duration - (now - at) / 10) }
    }

    /// What every evaluation may take without any debt; a plain guard needs a hundredth of it.
    static let freeTime = Duration.milliseconds(2)
    static let debtMax = Duration.milliseconds(200)
    private static let debtorCountMax = 10_000

    private let gauge: any WorkGauge
    private let lock = Lock()
    private var debts: [TenantID: Debt] = [:]

    init(gauge: any WorkGauge) { self.gauge = gauge }

    /// Time that has passed for everyone; only the difference of two readings means something.
    package func reading() -> Duration { gauge.elapsedTime() }

    /// Whether the tenant's expressions may be evaluated now.
    package func admits(_ tenant: TenantID) -> Bool {
        lock.withLock {
            guard let debt = debts[tenant] else { return true }
            let left = debt.left(at: gauge.elapsedTime())
            if left == .zero { debts[tenant] = nil }
            return left < Self.debtMax
        }
    }

    /// How long it takes until the tenant is admitted again; zero where it is.
    package func wait(of tenant: TenantID) -> Duration {
        lock.withLock {
            let left = debts[tenant]?.left(at: gauge.elapsedTime()) ?? .zero
            return max(.zero, left - Self.debtMax) * 10
        }
    }

    /// Notes what an evaluation took that began at that reading.
    package func charge(_ tenant: TenantID, since begun: Duration) {
        let now = gauge.elapsedTime()
        let taken = now - begun
        guard taken > Self.freeTime, tenant != .operatorTenant else { return }
        lock.withLock {
            if debts.count >= Self.debtorCountMax { debts = debts.filter { $0.value.left(at: now) > .zero } }
            let before = debts[tenant]?.left(at: now) ?? .zero
            debts[tenant] = Debt(duration: before + taken - Self.freeTime, at: now)
        }
    }
}
