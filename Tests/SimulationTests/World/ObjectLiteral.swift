package import Values

extension Object: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, Value)...) {
        self.init(elements.map { Member(name: $0.0, value: $0.1) })
    }
}
