package main

import "berth.dev/berth/internal/server"

func accountCommands() []command {
	return []command{
		{
			name: "account create", args: "NAME",
			short: "Create an account: a tenant with users, projects and organizations of its own",
			long:  "It has one project, called like the region, and no user yet.",
			examples: `berth account create acme
				berth user create alice --account acme --admin`,
			run: createAccount,
		},
		{name: "account list", short: "List accounts", examples: `berth account list`, run: listAccounts},
		{
			name: "account set", args: "NAME",
			short: "Describe an account, change its settings, or say where it stands in a directory of organizations",
			long: "--org-id and --org-path say where it stands in a directory of organizations that is kept elsewhere: repositories can be shared with a part of that. " +
				"An empty text takes it away.",
			examples: `berth account set acme --undelete 14d --retention-guard=true
				berth account set acme --undelete default
				berth account set acme --org-id o-1a2b --org-path root/eu/acme
				berth account set acme --org-id "" --org-path ""
				berth account set acme --description "the one in Bonn"`,
			flags: join(
				givenFlag("description", "`text` to remember what this is", func(o *options) **string { return &o.set.description }),
				givenFlag("org-id", "`id` of the account's organization", func(o *options) **string { return &o.set.orgID }),
				givenFlag("org-path", "`path` of the account in it", func(o *options) **string { return &o.set.orgPath }),
				givenFlag("undelete", "`time` that deleted and overwritten tags can come back", func(o *options) **string { return &o.set.undelete }),
				givenFlag("retention-guard", "`true`: a retention policy that would delete most of a repository waits to be confirmed", func(o *options) **string { return &o.set.guard })),
			run: setAccount,
		},
		{name: "account settings", args: "[NAME]", short: "Show the settings of an account (default: the first)", examples: `berth account settings acme`, run: showSettings},
		{
			name: "account enable", args: "NAME",
			short:    "Let the users of an account in again",
			examples: `berth account enable acme`,
			run:      func(c *call) (result, error) { return enableAccount(c, true) },
		},
		{
			name: "account disable", args: "NAME",
			short:    "Keep all users of an account out; its images stay",
			examples: `berth account disable acme`,
			run:      func(c *call) (result, error) { return enableAccount(c, false) },
		},
	}
}

func setAccount(c *call) (result, error) {
	if err := c.none(); err != nil {
		return result{}, err
	}
	a, err := with(c, func(l *server.Local) (server.Account, error) {
		return server.Call(c.ctx, l, server.ChangeAccount, server.SetAccount{Named: server.Named{Name: c.args[0]}, Description: c.set.description, OrgID: c.set.orgID, OrgPath: c.set.orgPath, Undelete: c.set.undelete, RetentionGuard: c.set.guard})
	})
	return result{value: a, text: "Account " + a.Name + " changed."}, err
}

func showSettings(c *call) (result, error) {
	name := ""
	if len(c.args) > 0 {
		name = c.args[0]
	}
	s, err := with(c, func(l *server.Local) (server.AccountSettings, error) {
		return server.Call(c.ctx, l, server.ShowSettings, server.Named{Name: name})
	})
	undelete := s.Undelete
	if !s.OwnUndelete {
		undelete += " (default)"
	}
	return result{value: s, table: [][]string{{"ACCOUNT", "UNDELETE", "RETENTION GUARD"}, {s.Name, undelete, yes(s.RetentionGuard)}}}, err
}

func createAccount(c *call) (result, error) {
	a, err := making(c, func(l *server.Local) (server.Account, error) {
		return server.Call(c.ctx, l, server.CreateAccount, server.Named{Name: c.args[0]})
	})
	return result{value: a, text: "Account " + a.Name + " created. Its first user: berth user create NAME --admin --account " + a.Name}, err
}

func listAccounts(c *call) (result, error) {
	accounts, err := with(c, func(l *server.Local) ([]server.Account, error) { return all(c, l, server.ListAccounts, "") })
	return result{value: accounts, table: rows([]string{"NAME", "ENABLED", "CREATED", "ID", "ORG ID", "ORG PATH", "DESCRIPTION"}, accounts, func(a server.Account) []string {
		return []string{a.Name, yes(a.Enabled), when(a.Created), a.ID, a.OrgID, a.OrgPath, a.Description}
	})}, err
}

func enableAccount(c *call, on bool) (result, error) {
	name := c.args[0]
	_, err := with(c, func(l *server.Local) (server.None, error) {
		return server.Call(c.ctx, l, server.EnableAccount, server.Switch{Named: server.Named{Name: name}, On: on})
	})
	return done(name, "Account %s %s.", name, abled(on)), err
}

func abled(on bool) string {
	if on {
		return "enabled"
	}
	return "disabled"
}
