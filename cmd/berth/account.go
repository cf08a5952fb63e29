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

func createAccount(c *call) (result, error) {
	a, err := making(c, func(l *server.Local) (server.Account, error) {
		return server.Call(c.ctx, l, server.CreateAccount, server.Named{Name: c.args[0]})
	})
	return result{value: a, text: "Account " + a.Name + " created. Its first user: berth user create NAME --admin --account " + a.Name}, err
}

func listAccounts(c *call) (result, error) {
	accounts, err := with(c, func(l *server.Local) ([]server.Account, error) { return all(c, l, server.ListAccounts, "") })
	return result{value: accounts, table: rows([]string{"NAME", "ENABLED", "CREATED", "ID"}, accounts, func(a server.Account) []string {
		return []string{a.Name, yes(a.Enabled), when(a.Created), a.ID}
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
