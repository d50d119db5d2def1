import Storage

/// A store's error as a sentence for people.
enum StoreText {
    static func sentence(_ error: StoreError) -> String {
        switch error {
        case .fenced: "another process has taken the database over"
        case .exists(let what): "\(what) exists already"
        case .missing(let what): "\(what) does not exist"
        case .full: "the disk is full"
        case .failed(let code, let message): "\(message) (code \(code))"
        case .outOfRange(let what): "\(what) is out of range"
        case .closed: "the database is closed"
        }
    }
}
