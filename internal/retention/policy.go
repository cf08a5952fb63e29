// Package retention says which tags of a repository may go: what a policy is,
// and which policies make sense. It knows tags by what is told of them and
// does nothing itself.
package retention

// A Policy is what a repository keeps. A tag goes when any of its rules says
// so.
type Policy struct{ Rules []Rule }

// A Rule lets tags go by their age or by their number. Its JSON is the form in
// which it is stored and in which histories remember it.
type Rule struct {
	Template Template   `json:"template"`
	N        int        `json:"n"`      // days since the last push, or how many of the newest stay
	Except   []Selector `json:"except"` // tags that stay, and are not counted
}

// A Template is what a rule goes by.
type Template string

// The templates.
const (
	ByAge    Template = "date_rule"
	ByNumber Template = "tag_rule"
)

// Parameter is what N is called in the parameters of the template; "" for one
// that does not exist.
func (t Template) Parameter() string {
	switch t {
	case ByAge:
		return "days"
	case ByNumber:
		return "num"
	}
	return ""
}

// A Selector names tags that a rule leaves alone.
type Selector struct {
	Kind    Kind   `json:"kind"`
	Pattern string `json:"pattern"`
}

// A Kind is how a selector's pattern is read.
type Kind string

// The kinds.
const (
	Label  Kind = "label"  // exactly this tag
	Regexp Kind = "regexp" // all tags in which the expression finds something
)
