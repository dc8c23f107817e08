-- The zones that are served: edit and save. A mistake is told, and the old zones stay.
--
-- Names and targets are relative to the zone, unless they end with a dot; `@` is the zone itself.
-- SOA: server, mailbox, serial, refresh, retry, expire, and how long it may be remembered that a
-- name is not there.

return {
  ["example.test"] = {
    ttl = 300,
    names = {
      ["@"] = {
        SOA = { "ns1", "hostmaster", 2026010101, 7200, 900, 1209600, 60 },
        NS = { "ns1", "ns2" },
        MX = { { 10, "mail" }, { 20, "backup.example.org." } },
        A = { "192.0.2.1" },
        AAAA = { "2001:db8::1" },
        TXT = { "v=spf1 mx -all", { "two strings ", "of one record" } },
      },
      ns1 = { A = { "192.0.2.53" }, AAAA = { "2001:db8::53" } },
      ns2 = { A = { "198.51.100.53" } },
      mail = { A = { "192.0.2.25", "192.0.2.26" } },
      www = { CNAME = { "@" } },
      ftp = { CNAME = { "www" } },
      elsewhere = { CNAME = { "www.example.org." } },
      round = { CNAME = { "trip" } },
      trip = { CNAME = { "round" } },
      ["_sip._tcp"] = { SRV = { { 10, 60, 5060, "mail" } } },
      ["host.deep"] = { A = { "192.0.2.77" } },
      large = { TXT = { ("a"):rep(250), ("b"):rep(250), ("c"):rep(250), ("d"):rep(250) } },
      huge = {
        TXT = {
          ("a"):rep(255),
          ("b"):rep(255),
          ("c"):rep(255),
          ("d"):rep(255),
          ("e"):rep(255),
          ("f"):rep(255),
        },
      },
    },
  },
  ["2.0.192.in-addr.arpa"] = {
    ttl = 3600,
    names = {
      ["@"] = {
        SOA = { "ns1.example.test.", "hostmaster.example.test.", 1, 7200, 900, 1209600, 60 },
        NS = { "ns1.example.test." },
      },
      ["1"] = { PTR = { "example.test." } },
      ["25"] = { PTR = { "mail.example.test." } },
    },
  },
}
