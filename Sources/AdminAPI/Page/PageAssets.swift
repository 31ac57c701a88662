import Gateway

/// The files that all pages refer to. Nothing in them is secret, so browsers get them without a session.
enum PageAssets {
    /// Nil for a request for something else.
    static func answer(to request: AdminRequest, _ path: RequestPath) -> AdminResponse? {
        guard ["GET", "HEAD"].contains(request.method), path.segments.count == 1 else { return nil }
        let (type, text): (String, String)
        switch path.segments[0] {
        case "style.css": (type, text) = ("text/css; charset=utf-8", style)
        case "script.js": (type, text) = ("text/javascript; charset=utf-8", PageScript.text)
        // Browsers ask for the second one although no page names it.
        case "icon.svg", "favicon.ico": (type, text) = ("image/svg+xml", icon)
        default: return nil
        }
        return AdminResponse(
            status: 200,
            fields: [
                ("Content-Type", type), ("Cache-Control", "no-cache"), ("X-Content-Type-Options", "nosniff"),
                ("Content-Security-Policy", "default-src 'none'"),
            ],
            body: Array(text.utf8))
    }

    private static let icon = """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#1f5fbf" \
        d="M8 0 1 3v5c0 4 3 7 7 8 4-1 7-4 7-8V3z"/></svg>
        """

    private static let style = """
        :root {
          color-scheme: light dark;
          --text: #1b1f24; --quiet: #57606a; --back: #fff; --line: #d0d7de; --link: #0b57b7; --soft: #f3f5f7;
          --good: #116329; --warning: #7a4b00; --bad: #b3141f;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --text: #e6edf3; --quiet: #9da7b1; --back: #0d1117; --line: #30363d; --link: #79b8ff; --soft: #161b22;
            --good: #56d364; --warning: #e3b341; --bad: #ff8f8a;
          }
        }
        * { box-sizing: border-box; }
        body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); }
        a { color: var(--link); }
        header { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: center; padding: .5rem 1rem;
          border-bottom: 1px solid var(--line); background: var(--soft); }
        header .brand { font-weight: 700; text-decoration: none; color: var(--text); }
        header nav { display: flex; flex-wrap: wrap; gap: 0 1rem; flex: 1; }
        header nav a[aria-current] { color: var(--text); font-weight: 600; }
        main { max-width: 80rem; margin: 0 auto; padding: 1rem; }
        h1 { font-size: 1.5rem; margin: .5rem 0 1rem; overflow-wrap: anywhere; }
        h2 { font-size: 1.15rem; margin: 1.5rem 0 .5rem; }
        section { margin: 1.5rem 0; }
        .quiet { color: var(--quiet); font-size: .875rem; }
        table { width: 100%; border-collapse: collapse; }
        caption { text-align: left; font-weight: 600; padding: .5rem 0; }
        th, td { text-align: left; padding: .375rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
        th { font-size: .875rem; color: var(--quiet); }
        .mark { font-weight: 600; }
        .mark.good { color: var(--good); } .mark.warning { color: var(--warning); } .mark.bad { color: var(--bad); }
        .mark.good::before { content: "\\2713\\a0"; } .mark.warning::before { content: "\\25B3\\a0"; }
        .mark.bad::before { content: "\\2715\\a0"; } .mark.off { color: var(--quiet); }
        .bar { display: block; width: 6rem; height: .375rem; margin-top: .25rem; }
        .bar .all { fill: var(--line); } .bar .good { fill: var(--link); }
        .bar .warning { fill: var(--warning); } .bar .bad { fill: var(--bad); }
        form label { display: inline-flex; gap: .5rem; align-items: center; }
        form[role=search] { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; }
        label.quiet { flex-wrap: wrap; } input[type=file] { min-width: 0; }
        .field { display: grid; grid-template-columns: minmax(0, 1fr); gap: .25rem; max-width: 40rem; }
        .box { display: flex; gap: .5rem; align-items: center; }
        input, select, textarea, button { font: inherit; color: inherit; background: var(--back);
          border: 1px solid var(--quiet); border-radius: .25rem; padding: .25rem .5rem; max-width: 100%; }
        textarea { width: 100%; font-family: ui-monospace, monospace; font-size: .875rem; }
        button { cursor: pointer; background: var(--soft); }
        :focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
        [aria-invalid] { border-color: var(--bad); }
        .fault { color: var(--bad); display: block; }
        [role=alert] { border: 1px solid var(--bad); border-radius: .25rem; padding: 0 1rem; margin: 1rem 0; }
        #gone { margin: 1rem; padding: .5rem 1rem; color: var(--bad); }
        .actions { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; margin: 1rem 0; }
        dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .25rem 1rem; }
        dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
        pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .5rem 1rem; background: var(--soft); border: 1px solid var(--line); }
        ul.problems { list-style: none; padding: 0; }
        .over { outline: 2px dashed var(--link); }
        @media (max-width: 60rem) {
          thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
          tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
          td { display: grid; grid-template-columns: 7rem minmax(0, 1fr); gap: .5rem; border: 0; padding: .125rem 0; }
          td::before { content: attr(data-label); color: var(--quiet); font-size: .875rem; }
          header nav { order: 1; flex-basis: 100%; }
          header form { margin-left: auto; }
          dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; }
        }

        """
}
