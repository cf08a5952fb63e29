package server

import (
	"context"
	"encoding/json"
	"time"

	"berth.dev/berth/internal/helm"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// ChartGroup is a chart group as the command shows it.
type ChartGroup struct {
	ID          int64     `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Public      bool      `json:"is_public"`
	Account     string    `json:"account_id"`
	Creator     string    `json:"creator_name"`
	Created     time.Time `json:"created"`
}

// NewChartGroup is what a chart group is created with.
type NewChartGroup struct {
	Named
	Description string `json:"description"`
	Public      bool   `json:"is_public"`
}

// CreateChartGroup makes a chart group that belongs to an account.
var CreateChartGroup = Op[NewChartGroup, ChartGroup]{"chart_group.create", func(ctx context.Context, c *core, in NewChartGroup) (ChartGroup, error) {
	a, err := iam.FindAccount(ctx, c.db, in.Account)
	if err != nil {
		return ChartGroup{}, err
	}
	o, err := c.registry.CreateChartGroup(ctx, iam.Operator().In(a), registry.GroupSpec{Name: in.Name, Description: in.Description, Public: in.Public})
	return chartGroup(o), err
}}

// ChangeChartGroup changes description and visibility of a chart group.
var ChangeChartGroup = Op[SetOrg, None]{"chart_group.set", func(ctx context.Context, c *core, in SetOrg) (None, error) {
	return None{}, c.registry.UpdateChartGroup(ctx, iam.Operator(), in.Name, registry.OrgPatch{Description: in.Description, Public: in.Public})
}}

// ListChartGroups pages through all chart groups by name.
var ListChartGroups = Op[List, Page[ChartGroup]]{"chart_group.list", func(ctx context.Context, c *core, in List) (Page[ChartGroup], error) {
	p, err := c.registry.ChartGroups(ctx, iam.Operator(), in.After, pageSize)
	return pageOf(p.Items, p.More, chartGroup, func(o registry.Org) string { return o.Name }), err
}}

// DeletedChartGroup is what went with a chart group.
type DeletedChartGroup struct {
	Name     string   `json:"name"`
	Charts   []string `json:"charts"`
	NCharts  int64    `json:"chart_count"`
	Versions int64    `json:"version_count"`
}

// DeleteChartGroup removes a chart group, one that has charts where On is set.
var DeleteChartGroup = Op[Switch, DeletedChartGroup]{"chart_group.delete", func(ctx context.Context, c *core, in Switch) (DeletedChartGroup, error) {
	gone, err := c.registry.DeleteChartGroup(ctx, iam.Operator(), in.Name, in.On)
	return DeletedChartGroup{in.Name, append([]string{}, gone.Charts...), gone.NCharts, gone.Versions}, err
}}

// ChartVersion is a version of a chart as the command shows it.
type ChartVersion struct {
	Name       string    `json:"name"`
	Version    string    `json:"version"`
	AppVersion string    `json:"app_version"`
	Deprecated bool      `json:"deprecated"`
	Digest     string    `json:"digest"`
	Size       int64     `json:"size"`
	Signed     bool      `json:"signed"`
	Created    time.Time `json:"created"`
}

// ListCharts lists all versions of all charts of a group by name, of each chart
// the newest first.
var ListCharts = Op[List, Page[ChartVersion]]{"chart.list", func(ctx context.Context, c *core, in List) (Page[ChartVersion], error) {
	x, err := c.charts.Index(ctx, iam.Operator(), in.In)
	if err != nil {
		return Page[ChartVersion]{}, err
	}
	// A page holds whole charts, so that the name of the last is where the next
	// begins.
	p := Page[ChartVersion]{Items: []ChartVersion{}}
	for _, h := range x.Charts {
		if h.Name <= in.After {
			continue
		}
		if len(p.Items) >= pageSize {
			p.More = true
			break
		}
		for _, v := range h.Versions {
			var m helm.Metadata
			if err := json.Unmarshal([]byte(v.Metadata), &m); err != nil {
				return p, err
			}
			p.Items = append(p.Items, ChartVersion{h.Name, v.Version, m.AppVersion, m.Deprecated, string(v.Digest), v.Size, v.Provenance != "", v.Created})
		}
		p.Next = h.Name
	}
	return p, nil
}}

// DeleteChart removes a version of the chart GROUP/CHART.
var DeleteChart = Op[TagName, None]{"chart.delete", func(ctx context.Context, c *core, in TagName) (None, error) {
	name, err := oci.ParseName(in.Repo)
	if err != nil {
		return None{}, err
	}
	// The groups first, so that no image is deleted as a chart.
	if _, err := c.registry.ChartGroup(ctx, iam.Operator(), name.Organization()); err != nil {
		return None{}, err
	}
	return None{}, c.registry.DeleteChart(ctx, iam.Operator(), name, in.Tag)
}}

func chartGroup(o registry.Org) ChartGroup {
	return ChartGroup{ID: o.ID, Name: o.Name, Description: o.Description, Public: o.Public, Account: o.Account, Creator: o.CreatorName, Created: o.Created}
}
