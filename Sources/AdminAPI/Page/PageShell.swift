import Gateway

/// What all pages have around their content.
enum PageShell {
    /// Nothing comes from another host, no script or style stands in a page, and no other page can frame ours.
    private static let policy = [
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
        "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
    ].joined(separator: "; ")

    /// With the referrer policy `no-referrer` browsers would hide the origin of forms, which the page must know.
    private static let fields = [
        (name: "Content-Type", value: "text/html; charset=utf-8"), ("Content-Security-Policy", policy),
        ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ]

    static func page(
        _ title: String, _ content: HTML, status: Int = 200, navigation: HTML? = nil, event: Int64? = nil,
        fields: [(name: String, value: String)] = []
    ) -> AdminResponse {
        let live: HTML? = event.map { " data-event=\"\($0)\"" }
        let page: HTML = """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>\(title) – Aegis</title>
            <link rel="stylesheet" href="/style.css">
            <link rel="icon" href="/icon.svg">
            <script src="/script.js" defer></script>
            </head>
            <body\(live)>
            <header><a class="brand" href="/">Aegis</a>\(navigation)</header>
            <p id="gone" role="alert" hidden>This page is not updated now: the gateway does not answer, or you are logged
            out. What it shows may be old.</p>
            <main>
            \(content)
            </main>
            </body>
            </html>

            """
        return AdminResponse(status: status, fields: Self.fields + fields, body: Array(page.text.utf8))
    }

    private static let links = [
        ("/", "Overview"), ("/renewals", "Renewals"), ("/events", "Events"), ("/trust", "Trust"),
    ]

    static func navigation(_ call: PageCall) -> HTML {
        let path = call.request.target.prefix { $0 != "?" }
        let links = Self.links.map { target, name -> HTML in
            let current: HTML = target == path ? " aria-current=\"page\"" : ""
            return "<a href=\"\(target)\"\(current)>\(name)</a>\n"
        }
        return """
            <nav aria-label="Pages">\(links)</nav>
            <form method="post" action="/logout">\(call.tokenField)<span class="quiet">\(call.caller.name)</span>
            <button>Log out</button></form>
            """
    }
}
