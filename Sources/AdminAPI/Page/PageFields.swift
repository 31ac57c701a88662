import ConfigModel

/// What is wrong with a form: what could not be done, and the faults of its fields.
struct FormFaults {
    let problem: Problem
    /// The names and labels of the fields. In messages, a label ends before a comma or parenthesis.
    private let labels: [(name: String, label: String)]
    /// By the field's name.
    private var faults: [String: [String]] = [:]
    /// The faults that belong to no field.
    private var others: [String] = []

    /// Assigns the problem's errors to the fields, by their JSON pointers.
    init(_ problem: Problem, _ labels: [(name: String, label: String)]) {
        self.problem = problem
        self.labels = labels
        for error in problem.errors {
            guard case .pointer(let pointer) = error.place else {
                others.append(error.detail)
                continue
            }
            let parts = pointer.split(separator: "/").map(String.init)
            guard let name = parts.first, labels.contains(where: { $0.name == name }) else {
                others.append(([parts.joined(separator: " ")] + [error.detail]).joined(separator: " "))
                continue
            }
            let entry = parts.count > 1 ? Int(parts[1]).map { "entry \($0 + 1): " } : nil
            faults[name, default: []].append((entry ?? "") + error.detail)
        }
    }

    /// Sets a fault that the page itself has found. It replaces the API's errors for this field.
    mutating func set(_ fault: String, of name: String) { faults[name] = [fault] }

    /// What is wrong with a field; nil if nothing is.
    subscript(name: String) -> String? { faults[name]?.joined(separator: "; ") }

    /// A box that says what was not done, and why. Each fault links to its field. `more` follows the faults.
    func alert(_ more: HTML? = nil) -> HTML {
        let fields = labels.compactMap { name, label in
            self[name].map { fault -> HTML in
                "<li><a href=\"#\(name)\">\(String(label.prefix { !",(".contains($0) }))</a>: \(fault)</li>"
            }
        }
        let lines = fields + others.map { other -> HTML in "<li>\(other)</li>" }
        let list: HTML? = lines.isEmpty ? nil : "<ul>\(lines)</ul>"
        return """
            <div role="alert"><p>\(PageParts.mark("bad", "Not done")) \(problem.detail)</p>\(list)\(more)</div>
            """
    }
}

/// Writes the fields of a form, with their values and faults.
struct PageFields {
    let form: PageForm
    var faults: FormFaults?

    /// A label, an input and its fault. `input` gets the attributes that join the three.
    private func field(_ label: String, _ name: String, isBox: Bool = false, _ input: (HTML) -> HTML) -> HTML {
        let fault = faults?[name]
        let told: HTML? = fault.map { "<span class=\"fault\" id=\"\(name)-fault\">\($0)</span>" }
        let mark: HTML? = fault.map { _ in " aria-invalid=\"true\" aria-describedby=\"\(name)-fault\"" }
        let input = input(" id=\"\(name)\" name=\"\(name)\"\(mark)")
        let text: HTML = "<label for=\"\(name)\">\(label)</label>"
        return isBox
            ? "<p class=\"box\">\(input) \(text)\(told)</p>\n" : "<p class=\"field\">\(text)\(input)\(told)</p>\n"
    }

    func text(_ label: String, _ name: String, isRequired: Bool = false) -> HTML {
        let required: HTML? = isRequired ? " required" : nil
        return field(label, name) { attributes in
            "<input value=\"\(form.shown(name))\" autocomplete=\"off\"\(required)\(attributes)>"
        }
    }

    /// A field for a secret, which is never sent back.
    func secret(_ label: String, _ name: String) -> HTML {
        field(label, name) { attributes in "<input autocomplete=\"off\" type=\"password\"\(attributes)>" }
    }

    func lines(_ label: String, _ name: String) -> HTML { area(label, name, form.shown(name)) }

    /// A field for a text in PEM, which script also takes from a file that is dropped or chosen. Only certificates are
    /// sent back to the browser.
    func pem(_ label: String, _ name: String, isSecret: Bool = false) -> HTML {
        area(label, name, isSecret ? "" : form.certificates(name), takesFile: true)
    }

    private func area(_ label: String, _ name: String, _ text: String, takesFile: Bool = false) -> HTML {
        let file: HTML? = takesFile ? " data-file" : nil
        return field(label, name) { attributes in
            """
            <textarea rows="4" spellcheck="false" autocomplete="off"\(file)\(attributes)>
            \(text)</textarea>
            """
        }
    }

    func box(_ label: String, _ name: String) -> HTML {
        let checked: HTML? = form[name] != nil ? " checked" : nil
        return field(label, name, isBox: true) { attributes in
            "<input type=\"checkbox\" value=\"yes\"\(checked)\(attributes)>"
        }
    }

    func choice(_ label: String, _ name: String, _ choices: [(value: String, label: String)]) -> HTML {
        let options = choices.map { value, label -> HTML in
            let selected: HTML? = value == form[name] ? " selected" : nil
            return "<option value=\"\(value)\"\(selected)>\(label)</option>"
        }
        return field(label, name) { attributes in "<select\(attributes)>\(options)</select>" }
    }
}
