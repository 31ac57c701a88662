import Gateway
import Operations
import State

/// Pieces that several pages have.
enum PageParts {
    /// How much of a certificate's life is left, in words and as a bar.
    static func life(from notBefore: Int64?, to end: Int64, now: Int64) -> HTML {
        let left = TimeLeft.text(until: end, from: now)
        guard let notBefore, notBefore < end else { return "\(left)" }
        let share = min(100, max(0, (end - now) * 100 / (end - notBefore)))
        return """
            <time datetime="\(UTCTime.rfc3339(end))">\(left)</time>
            <svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
            <rect class="all" width="100" height="6"></rect><rect class="left" width="\(share)" height="6"></rect></svg>
            """
    }

    static func time(_ seconds: Int64) -> HTML {
        "<time datetime=\"\(UTCTime.rfc3339(seconds))\">\(UTCTime.text(seconds))</time>"
    }

    /// A word for what a thing's state is, with its colour: `good`, `warning` or `bad`.
    static func mark(_ kind: String, _ word: String) -> HTML { "<span class=\"mark \(kind)\">\(word)</span>" }

    static func table(_ caption: String, _ columns: [String], _ rows: [[HTML]]) -> HTML {
        let head = columns.map { column -> HTML in "<th scope=\"col\">\(column)</th>" }
        let body = rows.map { cells -> HTML in
            let cells = zip(columns, cells).map { column, cell -> HTML in
                "<td data-label=\"\(column)\"><div>\(cell)</div></td>"
            }
            return "<tr>\(cells)</tr>\n"
        }
        return """
            <table data-live="\(String(caption.prefix { $0 != "(" }))"><caption>\(caption)</caption>
            <thead><tr>\(head)</tr></thead>
            <tbody>
            \(body)</tbody></table>
            """
    }

    /// Names and values, one beneath another. Those without a value are left out. `name` names the list for the script.
    static func facts(_ entries: [(name: String, value: HTML?)], as name: String = "facts") -> HTML {
        let lines = entries.compactMap { name, value in
            value.map { value -> HTML in "<dt>\(name)</dt><dd>\(value)</dd>\n" }
        }
        return "<dl data-live=\"\(name)\">\n\(lines)</dl>"
    }

    /// A form of one button that changes something.
    /// `fields` are its hidden fields.
    static func button(_ fields: HTML, _ target: String, _ text: String, question: String? = nil) -> HTML {
        let confirmation: HTML? = question.map { "data-question=\"\($0)\"" }
        return """
            <form method="post" action="\(target)" \(confirmation)>\(fields)<button>\(text)</button></form>
            """
    }

    static func certificateLink(_ name: String, _ number: Int64?) -> HTML {
        guard let number else { return "\(name)" }
        return "<a href=\"/certificates/\(number)\">\(name)</a>"
    }

    /// The latest events, of one item or of all, newest first.
    static func latestEvents(of item: ItemID? = nil, _ limit: Int, in store: any StateStore) throws -> HTML {
        var query = EventQuery()
        query.item = item
        query.isNewestFirst = true
        query.limit = limit
        return events(try store.events(query))
    }

    static func events(_ events: [NumberedEvent]) -> HTML {
        table(
            "Events", ["When", "Who", "What"],
            events.map { numbered in
                let event = numbered.event
                let failure: HTML? = event.failure.map { " \(mark("bad", "failed")) \($0)" }
                return [time(event.at), "\(event.actor)", "\(event.action) \(item(event.item))\(failure)"]
            })
    }

    private static func item(_ item: ItemID) -> HTML {
        // Of some kinds there is one item, which is named after the kind.
        let text = item.kind.rawValue == item.name ? item.name : "\(item.kind.rawValue) \(item.name)"
        return item.kind == .host ? "<a href=\"/hosts/\(item.name)\">\(text)</a>" : "\(text)"
    }
}

/// Fields of forms.
extension PageParts {
    /// What is wrong with the fields of a form, by name.
    typealias Faults = [String: String]

    /// The faults of the members that a form's fields stand for.
    static func faults(_ problem: Problem) -> Faults {
        problem.errors.reduce(into: [:]) { faults, error in
            guard case .pointer(let pointer) = error.place, let name = pointer.split(separator: "/").first else {
                return
            }
            faults[String(name)] = error.detail
        }
    }

    /// What could not be done, and why. Faults of fields stand at the fields, too.
    static func failure(_ problem: Problem) -> HTML {
        let faults = problem.errors.map { place, detail -> HTML in
            guard case .pointer(let pointer) = place else { return "<li>\(detail)</li>" }
            return "<li>\(pointer.dropFirst().split(separator: "/").joined(separator: " ")) \(detail)</li>"
        }
        let list: HTML? = faults.isEmpty ? nil : "<ul>\(faults)</ul>"
        return "<div role=\"alert\"><p>\(mark("bad", "Not done")) \(problem.detail)</p>\(list)</div>"
    }

    /// Where to find what a change has made.
    static func place(of answer: AdminResponse) -> String {
        let location = answer.fields.first { $0.name == "Location" }?.value ?? ""
        return location.hasPrefix("/api/v1/") ? String(location.dropFirst("/api/v1".count)) : "/"
    }

    /// Who declares an item, and what that means for changes.
    static func owner(_ owner: StoredItem.Owner, _ what: String) -> HTML {
        switch owner {
        case .file: "the file: change \(what) there, and apply it"
        case .api: "the API"
        }
    }

    /// A label, an input and its fault. `input` gets the attributes that join the three.
    private static func field(
        _ label: String, _ name: String, _ faults: Faults, isBox: Bool = false, _ input: (HTML) -> HTML
    ) -> HTML {
        let fault = faults[name]
        let told: HTML? = fault.map { "<span class=\"fault\" id=\"\(name)-fault\">\($0)</span>" }
        let mark: HTML? = fault.map { _ in " aria-invalid=\"true\" aria-describedby=\"\(name)-fault\"" }
        let input = input(" id=\"\(name)\" name=\"\(name)\"\(mark)")
        let text: HTML = "<label for=\"\(name)\">\(label)</label>"
        return isBox
            ? "<p class=\"box\">\(input) \(text)\(told)</p>\n" : "<p class=\"field\">\(text)\(input)\(told)</p>\n"
    }

    /// What is secret is not shown, and never sent back.
    static func textField(
        _ label: String, _ name: String, _ form: PageForm, _ faults: Faults, isRequired: Bool = false,
        isSecret: Bool = false
    ) -> HTML {
        let required: HTML? = isRequired ? " required" : nil
        let type: HTML? = isSecret ? " type=\"password\"" : nil
        return field(label, name, faults) { attributes in
            "<input value=\"\(isSecret ? "" : form[name] ?? "")\" autocomplete=\"off\"\(type)\(required)\(attributes)>"
        }
    }

    /// `takesFile`: whether a file can be dropped on it, by script. What is secret is never sent back.
    static func textArea(
        _ label: String, _ name: String, _ form: PageForm, _ faults: Faults, takesFile: Bool = false,
        isSecret: Bool = false
    ) -> HTML {
        let file: HTML? = takesFile ? " data-file" : nil
        return field(label, name, faults) { attributes in
            """
            <textarea rows="4" spellcheck="false" autocomplete="off"\(file)\(attributes)>
            \(isSecret ? "" : form[name] ?? "")</textarea>
            """
        }
    }

    static func checkBox(_ label: String, _ name: String, _ form: PageForm, _ faults: Faults) -> HTML {
        let checked: HTML? = form[name] != nil ? " checked" : nil
        return field(label, name, faults, isBox: true) { attributes in
            "<input type=\"checkbox\" value=\"yes\"\(checked)\(attributes)>"
        }
    }

    static func choice(
        _ label: String, _ name: String, _ choices: [(value: String, label: String)], _ form: PageForm,
        _ faults: Faults
    ) -> HTML {
        let options = choices.map { value, label -> HTML in
            let selected: HTML? = value == form[name] ? " selected" : nil
            return "<option value=\"\(value)\"\(selected)>\(label)</option>"
        }
        return field(label, name, faults) { attributes in
            "<select\(attributes)>\(options)</select>"
        }
    }
}
