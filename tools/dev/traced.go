package dev

import (
	"slices"
	"time"
)

// traced is an exchange as the page shows it.
type traced struct {
	ID      string   `json:"id"`
	Began   string   `json:"began"`
	Name    string   `json:"name"`
	Status  string   `json:"status"`
	Steps   []step   `json:"steps"`
	Said    []string `json:"said"`
	Failure []string `json:"failure"`
}

// step is what one filter did.
type step struct {
	Filter string   `json:"filter"`
	Fate   string   `json:"fate"` // passed, answered, failed, waits or not reached: of the request
	In     []change `json:"in"`
	Out    []change `json:"out"`
}

// change is that of one header.
type change struct {
	Name string   `json:"name"`
	Was  []string `json:"was"` // null: it was not there
	Is   []string `json:"is"`  // null: it is gone
}

// changes are the headers in which two places differ, by name.
func changes(before, after headers) (all []change) {
	names := map[string]bool{}
	for _, h := range []headers{before, after} {
		for name := range h {
			names[name] = true
		}
	}
	for _, name := range sortedKeys(names) {
		if !slices.Equal(before[name], after[name]) {
			all = append(all, change{name, before[name], after[name]})
		}
	}
	return all
}

func (x *exchange) traced() traced {
	t := traced{ID: x.ID, Began: x.Began.Format(time.TimeOnly), Name: x.name(), Said: slices.Clone(x.Said), Failure: slices.Clone(x.Failure)}
	if status := x.Out[0][":status"]; len(status) == 1 {
		t.Status = status[0]
	}
	waits, _ := x.inside()
	for i, name := range x.Chain {
		st := step{Filter: name}
		_, came := x.In[i]
		_, left := x.In[i+1]
		_, returned := x.Out[i+1]
		_, back := x.Out[i]
		switch {
		case !came:
			st.Fate = "not reached"
		case left:
			st.Fate = "passed"
			st.In = changes(x.In[i], x.In[i+1])
		case len(x.Failure) > 0:
			st.Fate = "failed"
		case waits == name:
			st.Fate = "waits"
		default:
			st.Fate = "answered"
		}
		if returned && back {
			st.Out = changes(x.Out[i+1], x.Out[i])
		}
		t.Steps = append(t.Steps, st)
	}
	return t
}

// find is the exchange of that id; nil when it did not come to the proxy.
func (r *recorder) find(id string) *traced {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.exchanges {
		if x.ID == id {
			t := x.traced()
			return &t
		}
	}
	return nil
}
