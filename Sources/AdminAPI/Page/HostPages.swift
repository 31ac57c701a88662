import ConfigModel
import Gateway
import Operations
import Reconciler
import State

/// The pages of a host, and the forms that add, change and delete one.
enum HostPages {
    static let routes: [PageRoute] = [
        .get("/hosts/{id}") { call in try show(call, try HostRoutes.find(call.context)) },
        .post("/hosts/{id}", change),
        .form("/hosts/{id}/delete", askToDelete),
        .post("/hosts/{id}/delete", delete),
        .post("/hosts/{id}/renew", renew),
        .form("/add/host") { try addForm($0) },
        .post("/add/host", add),
    ]

    /// A host's state as a word, with its problem, warning or note.
    static func state(_ status: HostStatus) -> HTML {
        if let problem = status.problem { return "\(PageParts.mark("bad", "Problem")) \(problem)" }
        if let warning = status.warning { return "\(PageParts.mark("warning", "Warning")) \(warning)" }
        guard status.isEnabled else { return "\(PageParts.mark("off", "Off")) \(status.note ?? "")" }
        return PageParts.mark("good", "Good")
    }

    // MARK: A host

    /// `failure`: why a change was refused. `sent`: the form that asked for it.
    private static func show(
        _ call: PageCall, _ view: HostView, failure: FormFaults? = nil, sent: PageForm? = nil
    ) throws -> AdminResponse {
        let isOurs = view.owner == .api && call.mayChange
        let facts = try view.status?.certificate.flatMap { try call.store.certificate(named: $0)?.facts }
        let others = view.settings.map { entry -> (name: String, value: HTML?) in
            (entry.key, "<code>\(String(decoding: entry.value.json(), as: UTF8.self))</code>")
        }
        let id = ItemID(.host, view.name)
        let place = view.owner == .file ? try FilePlace.of(id, call.context) : nil
        let items = Set([id] + (view.status?.ownCertificate.map { [ItemID(.certificate, $0)] } ?? []))
        return call.page(
            view.name,
            """
            <h1>\(view.name)</h1>
            \(try failure?.alert(failure?.problem.kind == .stale ? changes(call, view) : nil) ?? PageParts.done(call))
            <p data-live="state">\(view.status.map(state))</p>
            \(PageParts.facts([
                ("Certificate", view.status?.certificate.map { PageParts.certificateLink($0, view.certificateNumber) }),
                ("Issuer", view.status?.issuer.map { "\($0)" }),
                ("Expires", facts.map { PageParts.life(from: $0.notBefore, to: $0.expiresAt, now: call.now) }),
                ("Last failure", view.failure?.reason.map { "\($0)" }), ("Next try", view.failure.map { nextTry($0, call) }),
                ("Owner", PageParts.owner(view.owner, "this host", place: place)),
            ]))
            <div class="actions">\(try renewal(call, view))</div>
            \(try isOurs ? form(call, view, failure, sent) : nil)
            <details><summary>All settings</summary>\(PageParts.facts(others, as: "settings"))</details>
            \(try PageParts.latestEvents(of: items, 20, in: call.store))
            """, status: failure?.problem.kind.status ?? 200)
    }

    private static func nextTry(_ failure: HostView.Failure, _ call: PageCall) -> HTML {
        guard let next = failure.nextTryAt else { return "nobody tries it" }
        return next <= call.now ? "within a minute" : PageParts.time(next)
    }

    /// The button that makes a gateway try again at once; nil if no gateway would try again anyway.
    private static func renewal(_ call: PageCall, _ view: HostView) throws -> HTML? {
        guard call.mayChange, view.failure?.nextTryAt != nil else { return nil }
        return PageParts.button(call.tokenField, "/hosts/\(view.name)/renew", "Try now")
    }

    private static func form(
        _ call: PageCall, _ view: HostView, _ failure: FormFaults?, _ sent: PageForm?
    ) throws -> HTML {
        // A form that was refused keeps its tag, so that it can't undo by mistake what others have changed.
        let tag = try sent?[PageForm.tag] ?? call.tag("getHost", view.name)
        let fields = PageFields(form: sent ?? HostForm.form(of: view), faults: failure)
        let override: HTML? =
            failure?.problem.kind == .stale
            ? """
            <button name="\(PageForm.tag)" value="\(try call.tag("getHost", view.name))">Save mine over theirs</button>
            """ : nil
        return """
            <h2>Change it</h2>
            <form method="post" action="/hosts/\(view.name)">\(call.tokenField)
            <input type="hidden" name="\(PageForm.tag)" value="\(tag)">
            \(try HostForm.fields(fields, call, present: view.certificateNumber))
            <div class="actions"><button>Save</button>\(override)
            <a href="/hosts/\(view.name)/delete">Delete the host</a></div></form>
            """
    }

    /// Says who changed a host after its form was loaded, and how to read the host again.
    private static func changes(_ call: PageCall, _ view: HostView) throws -> HTML {
        var query = EventQuery()
        query.item = ItemID(.host, view.name)
        query.isNewestFirst = true
        query.limit = 1
        let latest = try call.store.events(query).first?.event
        let who: HTML? = latest.map { "\($0.actor) has changed it, \(PageParts.time($0.at)). " }
        return """
            <p>\(who)What differs stands at the fields. <a href="/hosts/\(view.name)">Read it again</a>, without what
            you have typed.</p>
            """
    }

    private static func change(_ call: PageCall) throws -> AdminResponse {
        let name = call.parameters["id"] ?? ""
        let form = call.form
        let view = try HostRoutes.find(call.context)
        var own: [(name: String, fault: String)] = []
        do {
            own = try HostForm.faults(of: form, call, view)
            let body = PlainValue.map(HostForm.members(form))
            if own.isEmpty {
                _ = try call.carryOut("changeHost", ["id": name], body)
                return .redirect("/hosts/\(name)?\(Done.parameter)=\(Done.saved.rawValue)")
            }
            let (_, check) = try call.call("changeHost", ["id": name], body)
            _ = try HostChanges.change(check)
            throw Problem(.invalid, "The host has faults.")
        } catch {
            let problem = (error as? OperationFailure).map { Problem($0) } ?? AdminAPI.problem(error)
            guard problem.kind != .notFound, problem.kind.status < 500 else { throw problem }
            var faults = FormFaults(problem, HostForm.labels)
            for (name, fault) in own { faults.set(fault, of: name) }
            if problem.kind == .stale {
                for (name, theirs) in HostForm.differences(form, HostForm.form(of: view)) {
                    faults.set("it is now: \(theirs)", of: name)
                }
            }
            return try show(call, view, failure: faults, sent: problem.kind == .ownedByFile ? nil : form)
        }
    }

    // MARK: Adding

    private static func addForm(_ call: PageCall, _ faults: FormFaults? = nil) throws -> AdminResponse {
        let fields = PageFields(form: try faults == nil ? HostForm.newForm(call) : call.form, faults: faults)
        return call.page(
            "Add a host",
            """
            <h1>Add a host</h1>
            \(faults?.alert())
            <form method="post" action="/add/host">\(call.tokenField)
            \(fields.text("Domain", "domain", isRequired: true))
            \(try HostForm.fields(fields, call, present: nil))
            <button>Add</button></form>
            """, status: faults?.problem.kind.status ?? 200)
    }

    private static func add(_ call: PageCall) throws -> AdminResponse {
        let domain = ("domain", call.form.text("domain").map(PlainValue.string) ?? .null)
        let body = PlainValue.map([domain] + HostForm.members(call.form))
        var own: [(name: String, fault: String)] = []
        do {
            own = try HostForm.faults(of: call.form, call, nil)
            if own.isEmpty { return .redirect(PageParts.place(of: try call.carryOut("createHost", [:], body))) }
            _ = try HostChanges.create(call.call("createHost", [:], body).call)
            throw Problem(.invalid, "The host has faults.")
        } catch {
            let problem = (error as? OperationFailure).map { Problem($0) } ?? AdminAPI.problem(error)
            guard problem.kind.status < 500 else { throw problem }
            var faults = FormFaults(problem, HostForm.labels)
            for (name, fault) in own { faults.set(fault, of: name) }
            return try addForm(call, faults)
        }
    }

    // MARK: Deleting, and trying again

    private static func askToDelete(_ call: PageCall) throws -> AdminResponse {
        let view = try HostRoutes.find(call.context)
        guard view.owner == .api else { return try show(call, view) }
        let remains: HTML? =
            try view.certificateNumber.flatMap { try call.store.certificate(numbered: $0)?.certificate.name }.flatMap {
                $0 == view.name ? nil : "<p>Its certificate '\($0)' stays, and can be deleted then.</p>"
            }
        return call.page(
            "Delete \(view.name)?",
            """
            <h1>Delete \(view.name)?</h1>
            <p>Requests for it get 404 then. This can't be undone.</p>
            \(remains)
            <div class="actions">
            \(PageParts.button(try call.tagFields("getHost", view.name), "/hosts/\(view.name)/delete", "Delete"))
            <a href="/hosts/\(view.name)">Keep it</a></div>
            """)
    }

    private static func delete(_ call: PageCall) throws -> AdminResponse {
        do {
            _ = try call.carryOut("deleteHost", ["id": call.parameters["id"] ?? ""])
            return .redirect("/?\(Done.parameter)=\(Done.deleted.rawValue)")
        } catch let problem as Problem where problem.kind != .notFound {
            return try show(call, try HostRoutes.find(call.context), failure: FormFaults(problem, []))
        }
    }

    private static func renew(_ call: PageCall) throws -> AdminResponse {
        let name = call.parameters["id"] ?? ""
        do {
            _ = try call.carryOut("renewHost", ["id": name])
            return .redirect("/hosts/\(name)?\(Done.parameter)=\(Done.asked.rawValue)")
        } catch let problem as Problem where problem.kind != .notFound {
            return try show(call, try HostRoutes.find(call.context), failure: FormFaults(problem, []))
        }
    }
}
