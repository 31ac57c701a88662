/// The only script of the pages, which work without it.
enum PageScript {
    static let text = """
        'use strict';
        // Asks before what can't be undone.
        for (const form of document.querySelectorAll('form[data-question]')) {
          form.addEventListener('submit', event => {
            if (!confirm(form.dataset.question)) event.preventDefault();
          });
        }
        // A file that is dropped on a field becomes its text. A file with a key and a chain fills both fields.
        const areas = document.querySelectorAll('textarea[data-file]');
        const fill = text => {
          const key = text.match(/-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?-----END [A-Z ]*PRIVATE KEY-----/);
          const chain = text.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g);
          for (const area of areas) {
            if (area.name === 'key_pem' && key) area.value = key[0] + '\\n';
            if (area.name === 'cert_pem' && chain) area.value = chain.join('\\n') + '\\n';
            check(area);
          }
        };
        // Says what is wrong before anything is sent.
        const check = area => {
          const wanted = area.name === 'key_pem' ? /-----BEGIN [A-Z ]*PRIVATE KEY-----/ : /-----BEGIN CERTIFICATE-----/;
          const text = area.value.trim();
          const fault = text === '' || wanted.test(text) ? ''
            : /-----BEGIN ENCRYPTED/.test(text) ? 'This key is encrypted: decrypt it first.'
            : 'This is no ' + (area.name === 'key_pem' ? 'private key' : 'certificate') + ' in PEM.';
          area.setCustomValidity(fault);
          if (fault) area.reportValidity();
        };
        for (const area of areas) {
          area.addEventListener('change', () => check(area));
          area.addEventListener('dragover', event => { event.preventDefault(); area.classList.add('over'); });
          area.addEventListener('dragleave', () => area.classList.remove('over'));
          area.addEventListener('drop', async event => {
            event.preventDefault();
            area.classList.remove('over');
            for (const file of event.dataTransfer.files) if (file.size < 1 << 20) fill(await file.text());
          });
        }
        // Shows what has changed: asks for the page again when something happens, and takes its live parts over.
        let last = document.body.dataset.event, stream, timer;
        const refresh = async () => {
          const answer = await fetch(location.href);
          if (!answer.ok) return;
          const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
          for (const part of document.querySelectorAll('[data-live]')) {
            const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
            if (!next || next.outerHTML === part.outerHTML) continue;
            const focused = part.contains(document.activeElement) && document.activeElement.getAttribute('href');
            part.replaceWith(next);
            if (focused) next.querySelector(`a[href="${focused}"]`)?.focus();
          }
        };
        // Browsers open few connections to a server, so a page in the background has none.
        const follow = () => {
          stream?.close();
          if (!last || document.visibilityState === 'hidden') return;
          stream = new EventSource('/api/v1/events/stream?after=' + last);
          stream.onmessage = event => {
            last = event.lastEventId;
            clearTimeout(timer);
            timer = setTimeout(refresh, 300);
          };
        };
        document.addEventListener('visibilitychange', follow);
        addEventListener('pagehide', () => stream?.close());
        addEventListener('pageshow', follow);

        """
}
