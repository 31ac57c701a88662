/// The first configuration file, for one host, which `aegis-apply init` writes. Its comments say what to change.
package struct StarterFile {
    /// The source of the host's certificate.
    package enum CertificateSource {
        /// The local CA, for trying Aegis out and for internal names.
        case local
        /// Let's Encrypt, with the challenge http-01. Let's Encrypt may write to `email` about problems.
        case letsencrypt(email: String)
        /// The operator's own PEM files.
        case files(certificate: String, key: String)
        /// Cloudflare's Origin CA, for a site in this zone. The token is read from `CF_API_TOKEN`.
        case cloudflare(zone: String)
    }

    package let domain: DomainName
    private let upstream: Upstream
    private let source: CertificateSource

    package init(domain: DomainName, upstream: Upstream, source: CertificateSource) {
        self.domain = domain
        self.upstream = upstream
        self.source = source
    }

    /// The port for HTTPS. With the local CA it is a high port, which needs no privileges.
    package var httpsPort: Int { isLocal ? 8443 : 443 }

    /// Whether clients must be configured to trust the certificate's CA.
    package var isLocal: Bool { if case .local = source { true } else { false } }

    /// The text of the file. It ends with a line feed.
    package var text: String {
        """
        # This file says what is served. `aegis-apply --dry-run` shows what would change, `aegis-apply` does it.
        # Editors complete and explain keys by the next line, once `aegis-apply schema > aegis.schema.json` was run.
        # yaml-language-server: $schema=aegis.schema.json
        version: 1

        \(gateway)
        # Private keys are sealed in the state. Without a key of yours Aegis makes one and keeps it beside what it seals.
        # Make one with `openssl rand -hex 32`, and give it in this variable to aegis-apply and aegis-gateway:
        # encryption: { key: { env: AEGIS_SSL_KEY } }

        \(certificates)hosts:
          - domain: \(quoted(domain.text))
            upstreams: [\(quoted(upstream.text))]        # several serve in turn
        \(host)    force_https: true                     # http:// is redirected
        \(aliases)    # hsts: { max_age: 31536000 }         # browsers come by HTTPS alone for a year, so only when that is sure
            # timeouts: { read: 60s }             # how long an answer of the upstream may take

        """
    }

    private var aliases: String {
        domain.isWildcard ? "" : "    # aliases: [\(quoted("www." + domain.text))]\n"
    }

    private var gateway: String {
        """
        gateway:
          http: [":\(isLocal ? 8080 : 80)"]
          https: [":\(httpsPort)"]
          admin: "127.0.0.1:9443"                 # /healthz, /readyz and /metrics; keep it on loopback

        """
    }

    /// The sections `issuers` and `certificates`, as far as the source of the certificate needs them.
    private var certificates: String {
        switch source {
        case .local:
            """
            # A CA that Aegis keeps itself: clients trust .cache/ssl/aegis-local-ca.crt.
            issuers:
              lan: { type: local_ca }

            certificates:
              site: { issuer: lan, domains: [\(quoted(domain.text))] }


            """
        case .letsencrypt(let email):
            """
            # The name must lead to this machine, with port 80 open to the world. For a try without limits use
            # https://acme-staging-v02.api.letsencrypt.org/directory, which browsers don't trust.
            issuers:
              letsencrypt:
                type: acme
                directory: https://acme-v02.api.letsencrypt.org/directory
                email: \(quoted(email))


            """
        case .files(let certificate, let key):
            """
            # The leaf first, then its intermediates. Paths are relative to this file.
            certificates:
              site: { source: custom, cert: { file: \(quoted(certificate)) }, key: { file: \(quoted(key)) } }


            """
        case .cloudflare(let zone):
            """
            # The token needs the permission "Zone, SSL and Certificates, Edit". Set the zone's mode to Full (strict).
            issuers:
              origin:
                type: cloudflare_origin
                api_token: { env: CF_API_TOKEN }
                zone_id: \(quoted(zone))

            certificates:
              site: { issuer: origin, domains: [\(quoted(domain.text))] }


            """
        }
    }

    private var host: String {
        if case .letsencrypt = source {
            """
                ssl_mode: letsencrypt

            """
        } else {
            """
                ssl_mode: custom
                certificate: site

            """
        }
    }

    /// A text as a YAML scalar. JSON strings are valid YAML.
    private func quoted(_ text: String) -> String {
        String(decoding: PlainValue.string(text).json(), as: UTF8.self)
    }
}
