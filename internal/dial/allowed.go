package dial

import "net/netip"

// special are addresses beyond those that netip names, from which a cloud tells
// its machines their secrets, and ranges that lead to this machine.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("100.100.100.200/32"),
	netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("192.0.0.192/32"),
	netip.MustParsePrefix("fd00:ec2::/32"), // AWS: metadata, identities of pods, and others
	netip.MustParsePrefix("fd20:ce::254/128"),
	netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"),
	netip.MustParsePrefix("fd00:42::42/128"),
	netip.MustParsePrefix("64:ff9b:1::/48"), // NAT64 of a network's own, which may put the address of IPv4 anywhere (RFC 8215)
}

// Ranges of IPv6 that stand for one of IPv4, and where in it that is.
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4
	{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // IPv4-translated
}

// Allowed reports an address that may be connected to.
func (d *Dialer) Allowed(ip netip.Addr) bool {
	if ip.Zone() != "" {
		return false
	}
	ip = ip.Unmap()
	if within(d.rules.Allow, ip) {
		return true
	}
	if within(d.rules.Deny, ip) || within(special, ip) || ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() || ip.IsLinkLocalUnicast() {
		return false
	}
	for _, e := range embedding {
		if e.prefix.Contains(ip) {
			b := ip.As16()
			return d.Allowed(netip.AddrFrom4([4]byte(b[e.at : e.at+4])))
		}
	}
	return true
}

func within(list []netip.Prefix, ip netip.Addr) bool {
	for _, p := range list {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
