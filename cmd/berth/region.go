package main

import (
	"fmt"
	"io"
	"os"

	"berth.dev/berth/internal/server"
)

// regionFlags are what the commands add and set say of a region.
type regionFlags struct {
	url, kind, prefix, username, ca *string
	optional, insecure              *string
	organization                    string
}

func regionCommands() []command {
	spec := join(
		givenFlag("url", "`address` of the registry, such as https://registry.example.com", func(o *options) **string { return &o.region.url }),
		givenFlag("type", "`type`: berth (default), oci for any other registry, or swr for the cloud service", func(o *options) **string { return &o.region.kind }),
		givenFlag("prefix", "`path` in front of organizations over there", func(o *options) **string { return &o.region.prefix }),
		givenFlag("username", "`name` to log in with; for swr project@AK", func(o *options) **string { return &o.region.username }),
		stdinFlag(),
		givenFlag("ca", "`file` with the certificates of the authorities that sign its certificate, in PEM; \"\": the system's", func(o *options) **string { return &o.region.ca }),
		givenFlag("optional", "`yes or no`: rules may be made while it is out of reach", func(o *options) **string { return &o.region.optional }),
		givenFlag("insecure-http", "`yes or no`: http is allowed, passwords and images cross the network in the clear", func(o *options) **string { return &o.region.insecure }),
	)
	return []command{
		{
			name: "region add", args: "NAME",
			short: "Register a registry that images can be synchronized to",
			long:  "With --username the password is asked for, or read from stdin. It is kept sealed and never shown.",
			examples: `berth region add north --url https://north.example.com --username sync --password-stdin <password
				berth region add hub --url https://hub.example.com --type oci --prefix mirror --username bot`,
			flags: spec, run: func(c *call) (result, error) { return onRegion(c, server.AddRegion, "Region %s registered.") },
		},
		{
			name: "region set", args: "NAME",
			short:    "Change how a region is reached; what is not given stays",
			long:     "Another address or user needs the password again.",
			examples: `berth region set north --username other --password-stdin <password`,
			flags:    spec, run: func(c *call) (result, error) { return onRegion(c, server.SetRegion, "Region %s changed.") },
		},
		{name: "region list", short: "List the regions", examples: `berth region list`, run: listRegions},
		{
			name: "region check", args: "NAME",
			short: "Connect to a region and log in",
			long:  "With --organization it also asks whether that organization takes images. Nothing is written over there.",
			examples: `berth region check north
				berth region check north --organization group`,
			flags: textFlag("organization", "`name` of an organization over there", func(o *options) *string { return &o.region.organization }),
			run: func(c *call) (result, error) {
				_, err := with(c, func(l *server.Local) (server.None, error) {
					return server.Call(c.ctx, l, server.CheckRegion, server.RegionCheck{Name: c.args[0], Organization: c.region.organization})
				})
				return done(c.args[0], "Region %s is as it should be.", c.args[0]), err
			},
		},
		{
			name: "region delete", args: "NAME",
			short: "Forget a region; rules to it stay and fail", examples: `berth region delete north`,
			run: func(c *call) (result, error) {
				_, err := with(c, func(l *server.Local) (server.None, error) {
					return server.Call(c.ctx, l, server.DeleteRegion, server.RegionCheck{Name: c.args[0]})
				})
				return done(c.args[0], "Region %s deleted.", c.args[0]), err
			},
		},
	}
}

func onRegion(c *call, op server.Op[server.RegionSpec, server.None], text string) (result, error) {
	r := c.region
	spec := server.RegionSpec{Name: c.args[0], URL: r.url, Type: r.kind, Prefix: r.prefix, Username: r.username}
	var err error
	if spec.Optional, err = c.yesOrNo("optional", r.optional); err != nil {
		return result{}, err
	}
	if spec.PlainHTTP, err = c.yesOrNo("insecure-http", r.insecure); err != nil {
		return result{}, err
	}
	if spec.CA, err = authorities(r.ca); err != nil {
		return result{}, err
	}
	switch {
	case r.username != nil && *r.username == "":
		spec.Password = r.username
	case r.username != nil || c.passwordStdin:
		password, err := c.password(c.args[0])
		if err != nil {
			return result{}, err
		}
		spec.Password = &password
	}
	_, err = with(c, func(l *server.Local) (server.None, error) { return server.Call(c.ctx, l, op, spec) })
	return done(c.args[0], text, c.args[0]), err
}

func (c *call) yesOrNo(flag string, text *string) (*bool, error) {
	if text == nil {
		return nil, nil
	}
	if *text != "yes" && *text != "no" {
		return nil, &usageError{fmt.Sprintf("--%s is yes or no, not %q", flag, *text), "berth " + c.cmd.name}
	}
	is := *text == "yes"
	return &is, nil
}

// maxAuthorities is the largest file of certificates that is read.
const maxAuthorities = 1 << 20

// authorities reads the file of certificates.
func authorities(file *string) (*string, error) {
	if file == nil || *file == "" {
		return file, nil
	}
	f, err := os.Open(*file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxAuthorities))
	pem := string(text)
	return &pem, err
}

func listRegions(c *call) (result, error) {
	list, err := with(c, func(l *server.Local) ([]server.Region, error) {
		return server.Call(c.ctx, l, server.ListRegions, server.None{})
	})
	return result{value: list, table: rows([]string{"NAME", "URL", "TYPE", "PREFIX", "USERNAME", "OPTIONAL"}, list, func(r server.Region) []string {
		return []string{r.Name, r.URL, r.Type, r.Prefix, r.Username, yes(r.Optional)}
	})}, err
}
