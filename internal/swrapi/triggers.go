package swrapi

import (
	"net/http"
	"strconv"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

const triggersPath = "/v2/manage/namespaces/{namespace}/repos/{repository}/triggers"

var triggerRoutes = []route{
	{method: http.MethodPost, pattern: triggersPath, name: "CreateTrigger", do: iam.CreateTrigger, about: aTrigger, handle: (*API).createTrigger},
	{method: http.MethodGet, pattern: triggersPath, name: "ListTriggersDetails", do: iam.ListTriggers, about: aTrigger, handle: (*API).listTriggers},
	{method: http.MethodGet, pattern: triggersPath + "/{trigger}", name: "ShowTrigger", do: iam.ShowTrigger, about: aTrigger, handle: (*API).showTrigger},
	{method: http.MethodPatch, pattern: triggersPath + "/{trigger}", name: "UpdateTrigger", do: iam.UpdateTrigger, about: aTrigger, handle: (*API).updateTrigger},
	{method: http.MethodDelete, pattern: triggersPath + "/{trigger}", name: "DeleteTrigger", do: iam.DeleteTrigger, about: aTrigger, handle: (*API).deleteTrigger},
	{method: http.MethodPost, pattern: triggersPath + "/{trigger}/run", name: "RunTrigger", do: iam.RunTrigger, about: aTrigger, handle: (*API).runTrigger},
}

// updateAction is the one thing that triggers do.
const updateAction = "update"

// triggerSpec is what a trigger does.
type triggerSpec struct {
	Action      string `json:"action"`
	AppType     string `json:"app_type"`
	Application string `json:"application"`
	ClusterID   string `json:"cluster_id"`
	ClusterName string `json:"cluster_name"`
	ClusterNS   string `json:"cluster_ns"`
	Condition   string `json:"condition"`
	Container   string `json:"container"`
}

// triggerRule is when it does it. Enable is text in both directions.
type triggerRule struct {
	Enable      string `json:"enable"`
	Name        string `json:"name"`
	TriggerMode string `json:"trigger_mode"`
	TriggerType string `json:"trigger_type"`
	PinDigest   bool   `json:"pin_digest,omitempty"` // Berth's own, as the last three of an entry
}

// made says when and by whom.
type made struct {
	CreatedAt   stamp  `json:"created_at"`
	CreatorName string `json:"creator_name"`
}

type shownTrigger struct {
	triggerSpec
	triggerRule
	made
	TriggerHistory []triggerEntry `json:"trigger_history"` // null in lists
}

// triggerEntry is what a trigger did for one tag.
type triggerEntry struct {
	triggerSpec
	made
	Detail string `json:"detail"`
	Result string `json:"result"`
	Tag    string `json:"tag"`

	Digest     string `json:"digest"`
	Attempts   int    `json:"attempts"`
	DurationMS int64  `json:"duration_ms"`
}

func triggerOf(t registry.Trigger) shownTrigger {
	return shownTrigger{
		triggerSpec: triggerSpec{Action: updateAction, AppType: string(t.Workload), Application: t.Application,
			ClusterID: t.ClusterID, ClusterName: t.ClusterName, ClusterNS: t.Namespace, Condition: t.Pattern, Container: t.Container},
		triggerRule: triggerRule{Enable: strconv.FormatBool(t.Enabled), Name: t.Name, TriggerMode: string(t.Mode), TriggerType: string(t.Condition), PinDigest: t.Pin},
		made:        made{stamp(t.Created), t.CreatorName},
	}
}

// enable reads the member enable.
func enable(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "":
		return false, missing("enable")
	}
	return false, fault.New(fault.Invalid, `enable is "true" or "false".`)
}

func (a *API) createTrigger(c *call) error {
	var in struct {
		triggerSpec
		triggerRule
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	switch in.Action {
	case updateAction:
	case "":
		return missing("action")
	default:
		return fault.New(fault.Invalid, "action is %s.", updateAction)
	}
	enabled, err := enable(in.Enable)
	if err != nil {
		return err
	}
	t := registry.Trigger{Name: in.Name, Enabled: enabled, Condition: registry.Condition(in.TriggerType), Pattern: in.Condition,
		Mode: registry.ClusterMode(in.TriggerMode), ClusterID: in.ClusterID, ClusterName: in.ClusterName,
		Namespace: in.ClusterNS, Workload: registry.Workload(in.AppType), Application: in.Application, Container: in.Container, Pin: in.PinDigest}
	if err := a.reg.CreateTrigger(c.r.Context(), c.who, c.repo, t); err != nil {
		return err
	}
	return c.created(empty{})
}

func (a *API) listTriggers(c *call) error {
	list, err := a.reg.Triggers(c.r.Context(), c.who, c.repo)
	if err != nil {
		return err
	}
	out := make([]shownTrigger, len(list))
	for i, t := range list {
		out[i] = triggerOf(t)
	}
	return c.ok(out)
}

func (a *API) showTrigger(c *call) error {
	t, results, err := a.reg.Trigger(c.r.Context(), c.who, c.repo, c.path["trigger"])
	if err != nil {
		return err
	}
	out := triggerOf(t)
	out.TriggerHistory = make([]triggerEntry, len(results))
	for i, x := range results {
		out.TriggerHistory[i] = triggerEntry{out.triggerSpec, made{stamp(x.Created), t.CreatorName}, x.Detail, x.Result, x.Tag,
			x.Digest, x.Attempts, x.Duration.Milliseconds()}
	}
	return c.ok(out)
}

func (a *API) updateTrigger(c *call) error {
	var in struct {
		Enable string `json:"enable"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	enabled, err := enable(in.Enable)
	if err != nil {
		return err
	}
	if err := a.reg.EnableTrigger(c.r.Context(), c.who, c.repo, c.path["trigger"], enabled); err != nil {
		return err
	}
	return c.created(empty{})
}

func (a *API) deleteTrigger(c *call) error {
	if err := a.reg.DeleteTrigger(c.r.Context(), c.who, c.repo, c.path["trigger"]); err != nil {
		return err
	}
	return c.noContent()
}

// runTrigger has a trigger act on a tag now. What comes of it stands in the
// trigger's history.
func (a *API) runTrigger(c *call) error {
	var in struct {
		Tag string `json:"tag"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.Tag == "" {
		return missing("tag")
	}
	if err := a.reg.RunTrigger(c.r.Context(), c.who, c.repo, c.path["trigger"], in.Tag); err != nil {
		return err
	}
	return c.answer(http.StatusAccepted, empty{})
}
