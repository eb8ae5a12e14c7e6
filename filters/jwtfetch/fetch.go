package main

import (
	"strconv"
	"time"
)

// A fetcher keeps a token fresh. There is one in each worker of the proxy; through the store they agree on who fetches.
//
// Nothing here calls the host: its functions come in as values, so that tests bring their own.
type fetcher struct {
	config *config
	store  store
	now    func() instant
	random func() uint32
	// send asks the token service and hands its answer to the function, once, later.
	send func(func(answer)) *failure
	log  logger

	record   record
	until    instant // when the record's token is no longer sent
	inFlight bool
}

// A store holds one record that is replaced by compare-and-swap. Where workers share, it is the proxy's shared data.
type store interface {
	load() (value []byte, cas uint32, err error)
	// swap replaces the value unless it has changed since it was loaded with this cas.
	swap(value []byte, cas uint32) error
}

// A logger counts what the fetcher does and writes it down. The token does not go there, only its length and times.
type logger interface {
	fetching()
	fetched(text string)
	failed(f *failure, text string)
	// has is called with each new token, also with one that another worker or plugin fetched.
	has(t token, until instant)
}

const (
	// leaseTime is how long the worker that fetches has the turn. It renews it at half of the time, so that another one takes over soon
	// when it is gone: its VM has trapped, or its plugin was replaced.
	leaseTime = 500 * time.Millisecond
	// answerSlack is how long after the timeout the host may bring the answer.
	answerSlack = 2 * minInterval
)

// newRecord is a record without a token. The first fetch has to wait a little, at random, so that the proxies of a fleet that get
// a configuration at once do not ask at once; requests that wait for it have most of the timeout left.
func newRecord(c *config, now instant, random uint32) record {
	return record{asked: now, next: now.add(spread(0, c.request.timeout/4, random))}
}

// token returns the token to send, from the worker's own memory. Only when that has none is the store asked.
func (f *fetcher) token() (string, bool) {
	now := f.now()
	if !f.isValid(now) {
		f.load()
	}
	return f.record.token.value, f.isValid(now)
}

// isValid tells whether the token may be sent. A clock before its time has been set back, and then the expiry means nothing.
func (f *fetcher) isValid(now instant) bool {
	return f.record.token.value != "" && f.record.token.since <= now.add(clockSlack) && now < f.until
}

// isExpected tells whether a request without a token may wait for one: nothing has failed, so one is due or on its way.
func (f *fetcher) isExpected() bool { return f.record.failures == 0 }

// tick starts a fetch when one is due and no worker is at it.
func (f *fetcher) tick() {
	now := f.now()
	if f.inFlight {
		f.renew(now)
		return
	}
	if !f.isDue(now) {
		return
	}
	// Another worker may have fetched in the meantime.
	cas, ok := f.load()
	if !ok || !f.isDue(now) || !f.record.isFree(now) {
		return
	}
	mine := f.record
	mine.asked = now
	mine.lease = now.add(leaseTime)
	if f.store.swap(mine.encode(), cas) != nil {
		return // Another worker was faster. Its lease is seen at the next tick.
	}
	f.record = mine
	f.inFlight = true
	failed := f.send(func(a answer) { f.answered(a, now) })
	if failed == nil || failed.reason != noSecret {
		f.log.fetching()
	}
	if failed != nil {
		f.finish(token{}, failed, now)
	}
}

// renew keeps the turn while the answer is on its way.
func (f *fetcher) renew(now instant) {
	mine := f.record
	if now < mine.lease.add(-leaseTime/2) || now >= mine.asked.add(f.config.request.timeout+answerSlack) {
		return
	}
	cas, ok := f.load()
	if !ok || f.record.asked != mine.asked {
		return // Another worker has taken over.
	}
	mine = f.record
	mine.lease = now.add(leaseTime)
	if f.store.swap(mine.encode(), cas) == nil {
		f.record = mine
	}
}

// answered ends the fetch that began at an instant.
func (f *fetcher) answered(a answer, asked instant) {
	t, failed := f.config.readAnswer(a, asked, f.now())
	f.finish(t, failed, asked)
}

func (f *fetcher) finish(t token, failed *failure, asked instant) {
	f.inFlight = false
	now := f.now()
	// Nobody else writes while the lease holds, so the first attempt does. Should all fail, the lease runs out and another
	// fetch follows.
	for range 3 {
		cas, ok := f.load()
		if !ok {
			break
		}
		r := f.record
		if r.asked != asked {
			break // The lease ran out and another worker has taken over.
		}
		r.lease = 0
		if failed == nil {
			r.token, r.failures, r.next = t, 0, f.config.refreshAt(t, f.random())
		} else {
			r.failures++
			r.next = retryAt(now, r.failures, failed.retryAfter, f.random())
		}
		if f.store.swap(r.encode(), cas) == nil {
			f.take(r)
			break
		}
	}
	next := ", next fetch in " + milliseconds(f.record.next, now)
	if failed == nil {
		f.log.fetched("got a token of " + strconv.Itoa(len(t.value)) + " bytes, sent for " + milliseconds(f.config.until(t), now) + next)
	} else {
		f.log.failed(failed, "fetching token: "+failed.text+next)
	}
}

// load takes over what is in the store.
func (f *fetcher) load() (cas uint32, ok bool) {
	value, cas, err := f.store.load()
	if err != nil {
		return 0, false
	}
	f.take(decodeRecord(value))
	return cas, true
}

func (f *fetcher) take(r record) {
	isNew := r.token != f.record.token
	f.record, f.until = r, f.config.until(r.token)
	if isNew {
		f.log.has(r.token, f.until)
	}
}

// isDue tells whether the next fetch is due. A clock that was set back makes it so: the times in the record mean nothing then.
func (f *fetcher) isDue(now instant) bool {
	r, refresh := f.record, f.config.refresh
	return now >= r.next || r.isFromTheFuture(now) ||
		// The record may be from before the configuration said how often.
		refresh != 0 && r.token.value != "" && r.failures == 0 && now >= r.token.since.add(refresh)
}

// isFree tells whether no worker is fetching.
func (r record) isFree(now instant) bool { return now >= r.lease || r.isFromTheFuture(now) }

func (r record) isFromTheFuture(now instant) bool { return now.add(clockSlack) < r.asked }

func milliseconds(t, from instant) string { return strconv.FormatInt(int64(t-from), 10) + " ms" }
