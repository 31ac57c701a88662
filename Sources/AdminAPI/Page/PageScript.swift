/// The only script of the pages, which work without it.
enum PageScript {
    static let text = """
        'use strict';
        // Asks for confirmation before a form is sent whose change can't be undone.
        for (const form of document.querySelectorAll('form[data-question]')) {
          form.addEventListener('submit', event => {
            if (!confirm(form.dataset.question)) event.preventDefault();
          });
        }
        // Puts the private key and the certificates of a chosen or dropped file into their fields, whichever field the
        // file was dropped on.
        const areas = document.querySelectorAll('textarea[data-file]');
        const fill = (text, area) => {
          const key = text.match(/-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?-----END [A-Z ]*PRIVATE KEY-----/);
          const chain = text.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g);
          for (const area of areas) {
            if (area.name === 'key_pem' && key) area.value = key[0] + '\\n';
            if (area.name === 'cert_pem' && chain) area.value = chain.join('\\n') + '\\n';
            check(area);
          }
          if (key || chain) return;
          area.setCustomValidity('This file has neither a certificate nor a private key in PEM or DER.');
          area.reportValidity();
        };
        // The label that PEM uses for the content of a file in DER; null for any other file, which is read as a text.
        // Certificates and keys in DER are sequences. The first elements tell which: another sequence in a certificate,
        // 0 and a sequence in a key of PKCS #8, 0 and a number in an RSA key, and 1 in an EC key.
        const label = bytes => {
          if (bytes[0] !== 0x30) return null;
          const start = bytes[1] < 0x80 ? 2 : 2 + (bytes[1] & 0x7f);
          if (bytes[start] === 0x30) return 'CERTIFICATE';
          if (bytes[start] !== 2 || bytes[start + 1] !== 1) return null;
          if (bytes[start + 2] === 1) return 'EC PRIVATE KEY';
          if (bytes[start + 2] !== 0) return null;
          return bytes[start + 3] === 0x30 ? 'PRIVATE KEY' : 'RSA PRIVATE KEY';
        };
        const read = async (files, area) => {
          let text = '';
          for (const file of files) {
            if (file.size >= 1 << 20) continue;
            const bytes = new Uint8Array(await file.arrayBuffer());
            const kind = label(bytes);
            const base64 = kind && btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join('')).match(/.{1,64}/g).join('\\n');
            text += (kind ? `-----BEGIN ${kind}-----\\n${base64}\\n-----END ${kind}-----` : await file.text()) + '\\n';
          }
          fill(text, area);
        };
        // Tells the user that a field does not have the expected key or certificate, before the form is sent.
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
          const picker = document.createElement('input');
          Object.assign(picker, { type: 'file', multiple: true, accept: '.pem,.crt,.cer,.der,.key' });
          const hint = document.createElement('label');
          hint.className = 'quiet';
          hint.append('Or drop files on the field, or choose some, in PEM or DER: ', picker);
          area.after(hint);
          picker.addEventListener('change', () => read(picker.files, area));
          area.addEventListener('input', () => area.setCustomValidity(''));
          area.addEventListener('change', () => check(area));
          area.addEventListener('dragover', event => { event.preventDefault(); area.classList.add('over'); });
          area.addEventListener('dragleave', () => area.classList.remove('over'));
          area.addEventListener('drop', event => {
            event.preventDefault();
            area.classList.remove('over');
            read(event.dataTransfer.files, area);
          });
        }
        // Keeps the page up to date: after each event, fetches the page again, and replaces the elements with data-live
        // that have changed.
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
        // Browsers open only few connections to one server, so a page in the background has no stream of events.
        const follow = () => {
          stream?.close();
          if (!last || document.visibilityState === 'hidden') return;
          stream = new EventSource('/api/v1/events/stream?after=' + last);
          const gone = document.getElementById('gone');
          stream.onopen = () => { gone.hidden = true; };
          stream.onerror = () => { gone.hidden = false; };
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
