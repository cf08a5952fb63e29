package main

import (
	"fmt"

	"berth.dev/berth/internal/server"
)

func chartCommands() []command {
	return []command{
		{
			name: "chart-group create", args: "NAME",
			short: "Create a chart group, which holds Helm charts",
			examples: `berth chart-group create platform --description "Charts of the platform team"
				berth chart-group create catalog --public --account acme`,
			flags: join(accountFlag(),
				textFlag("description", "`text` about the group", func(o *options) *string { return &o.description }),
				boolFlag("public", "everyone pulls its charts, without login", func(o *options) *bool { return &o.public })),
			run: createChartGroup,
		},
		{
			name: "chart-group set", args: "NAME",
			short: "Change the description or the visibility of a chart group",
			examples: `berth chart-group set platform --public
				berth chart-group set platform --private --description "Charts of the team alone"`,
			flags: join(
				givenFlag("description", "`text` about the group", func(o *options) **string { return &o.set.description }),
				boolFlag("public", "everyone pulls its charts, without login", func(o *options) *bool { return &o.public }),
				boolFlag("private", "only those with a right pull from it", func(o *options) *bool { return &o.private })),
			run: setChartGroup,
		},
		{name: "chart-group list", short: "List chart groups", examples: `berth chart-group list --output json`, run: listChartGroups},
		{
			name: "chart-group delete", args: "NAME",
			short:    "Delete a chart group without charts",
			examples: "berth chart-group delete platform\nberth chart-group delete platform --force",
			flags:    boolFlag("force", "delete its charts too, for good", func(o *options) *bool { return &o.force }),
			run:      deleteChartGroup,
		},
		{name: "chart list", args: "GROUP", short: "List the versions of all charts of a chart group", examples: `berth chart list platform`, run: listCharts},
		{
			name: "chart delete", args: "GROUP/CHART:VERSION", short: "Delete a version of a chart; it can come back like any tag",
			examples: `berth chart delete platform/web:1.2.0`, run: deleteChart,
		},
	}
}

func createChartGroup(c *call) (result, error) {
	g, err := making(c, func(l *server.Local) (server.ChartGroup, error) {
		return server.Call(c.ctx, l, server.CreateChartGroup, server.NewChartGroup{Named: c.named(), Description: c.description, Public: c.public})
	})
	return result{value: g, text: "Chart group " + g.Name + " created."}, err
}

func setChartGroup(c *call) (result, error) {
	in, err := c.visibility()
	if err != nil {
		return result{}, err
	}
	_, err = with(c, func(l *server.Local) (server.None, error) { return server.Call(c.ctx, l, server.ChangeChartGroup, in) })
	return done(c.args[0], "Chart group %s changed.", c.args[0]), err
}

func listChartGroups(c *call) (result, error) {
	groups, err := with(c, func(l *server.Local) ([]server.ChartGroup, error) { return all(c, l, server.ListChartGroups, "") })
	return result{value: groups, table: rows([]string{"NAME", "PUBLIC", "CREATED", "CREATOR", "DESCRIPTION"}, groups, func(g server.ChartGroup) []string {
		return []string{g.Name, yes(g.Public), when(g.Created), g.Creator, g.Description}
	})}, err
}

func deleteChartGroup(c *call) (result, error) {
	gone, err := with(c, func(l *server.Local) (server.DeletedChartGroup, error) {
		return server.Call(c.ctx, l, server.DeleteChartGroup, server.Switch{Named: c.named(), On: c.force})
	})
	text := "Chart group " + c.args[0] + " deleted."
	if gone.NCharts > 0 {
		text = fmt.Sprintf("Chart group %s deleted. Charts that went with it: %d, versions: %d.", c.args[0], gone.NCharts, gone.Versions)
	}
	return result{value: gone, text: text}, err
}

func listCharts(c *call) (result, error) {
	charts, err := with(c, func(l *server.Local) ([]server.ChartVersion, error) { return all(c, l, server.ListCharts, c.args[0]) })
	return result{value: charts, table: rows([]string{"NAME", "VERSION", "APP VERSION", "SIGNED", "CREATED"}, charts, func(v server.ChartVersion) []string {
		return []string{v.Name, v.Version, v.AppVersion, yes(v.Signed), when(v.Created)}
	})}, err
}

func deleteChart(c *call) (result, error) {
	name := c.tagName()
	if name.Tag == "" {
		return result{}, &usageError{"which version? Name it as " + name.Repo + ":VERSION", "berth chart delete"}
	}
	_, err := with(c, func(l *server.Local) (server.None, error) { return server.Call(c.ctx, l, server.DeleteChart, name) })
	return done(c.args[0], "Chart %s deleted.", c.args[0]), err
}
