// Interfaces whose devices fail, and those that never came up.

internal import Datapath
internal import Logging
internal import Netdev
internal import Pipeline

extension Switch {
    /// Closes the ports whose device is gone, and opens those anew whose device lost its state. One that is gone is tried again
    /// with the other failures: not at once, for it may still be on its way out.
    func closeFailed() {
        for (bridgeName, running) in bridges {
            for (name, interface) in running.interfaces {
                guard let failure = interface.netdev?.failure else { continue }
                guard let port = running.wanted.ports.first(where: { $0.interfaces.contains { $0.name == name } }) else { continue }
                takeDown(name, of: bridgeName)
                var next = RunningInterface(wanted: interface.wanted, port: port)
                switch failure {
                case .removed(let sentence):
                    log.warning("bridge \(bridgeName): \(sentence)")
                    next.failure = sentence
                case .reset:
                    log.warning("bridge \(bridgeName): the device of \(name) was reset, and is opened again")
                    next = open(interface.wanted, of: port, on: running.wanted)
                }
                bridges[bridgeName]?.interfaces[name] = next
                applyPolicing(next, before: nil)
                applyMirrors(running.wanted)
                publishInterface(name, of: bridgeName)
            }
        }
    }

    /// Tries the ports again that failed for a reason outside the configuration (a device that was not there yet).
    func retryFailures() {
        for (bridgeName, running) in bridges {
            for (name, interface) in running.interfaces where interface.failure != nil {
                guard let port = running.wanted.ports.first(where: { $0.interfaces.contains { $0.name == name } }) else { continue }
                let again = open(interface.wanted, of: port, on: running.wanted, isRetry: true)
                if again.failure == interface.failure { continue }
                bridges[bridgeName]?.interfaces[name] = again
                applyPolicing(again, before: nil)
                applyMirrors(running.wanted)
                publishInterface(name, of: bridgeName)
            }
        }
        flushStatus()
    }
}
