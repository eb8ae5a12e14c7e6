package main

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A proxy has workers that share a store, one clock, and a token service.
type proxy struct {
	t       *testing.T
	config  *config
	now     instant
	store   *casStore
	workers []*fetcher
	sent    []*callouts // of each worker
	service func() (answer, error)
	asked   []instant // when the service was called
	texts   []string  // what was logged
	why     []reason
}

type callouts struct{ waiting []func() }

func newProxy(t *testing.T, workers int, configJSON string) *proxy {
	t.Helper()
	c, err := parseConfig([]byte(configJSON))
	require.NoError(t, err)
	p := &proxy{t: t, config: &c, now: 1_700_000_000_000}
	p.store = &casStore{newRecord(&c, p.now, 0).encode(), 1}
	p.service = p.issue(10 * time.Second)
	for range workers {
		p.addWorker(p.store)
	}
	return p
}

func (p *proxy) addWorker(s store) {
	sent := &callouts{}
	random := rand.New(rand.NewPCG(1, uint64(len(p.workers))))
	f := &fetcher{
		config: p.config,
		store:  s,
		now:    func() instant { return p.now },
		random: random.Uint32,
		log:    p,
		send: func(answered func(answer)) *failure {
			require.Empty(p.t, sent.waiting, "two callouts in flight")
			a, err := p.service()
			if err != nil {
				return &failure{reason: notSent, text: err.Error()}
			}
			sent.waiting = append(sent.waiting, func() { answered(a) })
			return nil
		},
	}
	p.workers, p.sent = append(p.workers, f), append(p.sent, sent)
}

// issue returns a service whose tokens are numbered and live for some time from when they were asked for.
func (p *proxy) issue(lifetime time.Duration) func() (answer, error) {
	return func() (answer, error) {
		body := `{"access_token":"token-` + strconv.Itoa(len(p.asked)+1) + `","expires_in":` + strconv.Itoa(int(lifetime.Seconds())) + `}`
		return answer{headers("200"), []byte(body), len(body)}, nil
	}
}

func down() (answer, error) { return answer{}, nil }

// run lets time pass in steps of a tick. Answers arrive with the tick after the one that asked.
func (p *proxy) run(d time.Duration, check func()) {
	for end := p.now.add(d); p.now < end; p.now = p.now.add(tickPeriod * time.Millisecond) {
		for _, sent := range p.sent {
			waiting := sent.waiting
			sent.waiting = nil
			for _, answer := range waiting {
				answer()
			}
		}
		for _, f := range p.workers {
			f.tick()
		}
		if check != nil {
			check()
		}
	}
}

func (p *proxy) fetching()          { p.asked = append(p.asked, p.now) }
func (p *proxy) fetched(s string)   { p.texts = append(p.texts, s) }
func (p *proxy) has(token, instant) {}
func (p *proxy) failed(f *failure, s string) {
	p.texts, p.why = append(p.texts, s), append(p.why, f.reason)
}

// gaps are the times between the calls of the service.
func (p *proxy) gaps() []time.Duration {
	var gaps []time.Duration
	for i := 1; i < len(p.asked); i++ {
		gaps = append(gaps, p.asked[i].sub(p.asked[i-1]))
	}
	return gaps
}

// casStore implements store as Envoy's shared data does.
type casStore struct {
	value []byte
	cas   uint32
}

func (s *casStore) load() ([]byte, uint32, error) { return s.value, s.cas, nil }

func (s *casStore) swap(value []byte, cas uint32) error {
	if cas != s.cas {
		return errors.New("cas mismatch")
	}
	s.value, s.cas = value, s.cas+1
	return nil
}

const bodyConfig = `{"hosts":["*"],"upstream":{"host":"token.internal","port":80},"request":{"path":"/token"},"token":{"json":"/access_token"},"lifetime":{"json":"/expires_in"}}`

func TestOneFetchForAllWorkers(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 8, bodyConfig)
	p.run(500*time.Millisecond, nil)
	require.Len(t, p.asked, 1)
	for _, f := range p.workers {
		got, ok := f.token()
		require.True(t, ok)
		require.Equal(t, "token-1", got)
	}

	// From here on everyone always has a valid token. It is sent for nine seconds, and fetched at 72 to 88 % of them.
	p.run(100*time.Second, func() {
		for _, f := range p.workers {
			_, ok := f.token()
			require.True(t, ok)
		}
	})
	for _, gap := range p.gaps() {
		require.GreaterOrEqual(t, gap, 6480*time.Millisecond)
		require.LessOrEqual(t, gap, 7920*time.Millisecond+tickPeriod*time.Millisecond)
	}
	require.InDelta(t, 14, len(p.asked), 2)
	require.Empty(t, p.why)
	require.Contains(t, p.texts[0], "got a token of 7 bytes, sent for 8750 ms, next fetch in ")
}

func TestWithoutSharingEachWorkerFetches(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 0, bodyConfig)
	for range 4 {
		p.addWorker(&localStore{})
	}
	p.run(time.Second, nil)
	require.Len(t, p.asked, 4)
}

func TestFixedInterval(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 2, `{"hosts":["*"],"upstream":{"host":"token.internal","port":80},"request":{"path":"/auth"},"token":{"json":"/access_token"},"lifetime":{"fixed":"1h"},"refresh":"15s"}`)
	p.run(time.Minute, nil)
	require.Equal(t, []time.Duration{15 * time.Second, 15 * time.Second, 15 * time.Second}, p.gaps())
}

func TestOldTokenUntilItExpires(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 2, bodyConfig)
	p.run(time.Second, nil)
	p.service = down
	p.run(30*time.Second, func() {
		for _, f := range p.workers {
			got, ok := f.token()
			require.Equal(t, p.now < p.asked[0].add(9*time.Second), ok, "%s after it was asked for", p.now.sub(p.asked[0]))
			require.Equal(t, "token-1", got)
		}
	})
	require.NotEmpty(t, p.why)

	p.service = p.issue(time.Minute)
	p.run(maxRetry, nil)
	_, ok := p.workers[0].token()
	require.True(t, ok, "back after the service is")
}

func TestBackOff(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 3, bodyConfig)
	p.service = down
	p.run(10*time.Minute, nil)
	gaps := p.gaps()
	for i, gap := range gaps {
		longest := min(minInterval<<min(i+1, 5), maxRetry)
		// An answer takes a tick, and the retry waits for one.
		require.GreaterOrEqual(t, gap, longest/2)
		require.LessOrEqual(t, gap, longest+2*tickPeriod*time.Millisecond)
	}
	require.Len(t, p.why, len(p.asked))
	require.Equal(t, noAnswer, p.why[0])
	require.NotEqual(t, gaps[6], gaps[7], "jitter")

	p.service = p.issue(10 * time.Second)
	p.run(maxRetry, nil)
	p.service = down
	p.run(10*time.Second, nil)
	require.LessOrEqual(t, p.gaps()[len(p.gaps())-1], 4*time.Second+2*tickPeriod*time.Millisecond, "a success starts the back-off anew")
}

func TestHostRefusesCallout(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 2, bodyConfig)
	p.service = func() (answer, error) { return answer{}, errors.New("bad argument") }
	p.run(3*time.Second, nil)
	require.Equal(t, []reason{notSent, notSent}, p.why)
	require.Contains(t, p.texts[0], "fetching token: bad argument, next fetch in ")
}

func TestShortLifetimeIsNotFetchedMoreThanOnceASecond(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 2, bodyConfig)
	p.service = p.issue(time.Second)
	p.run(20*time.Second, nil)
	for _, gap := range p.gaps() {
		require.GreaterOrEqual(t, gap, minInterval)
	}
	require.Len(t, p.asked, 20)
}

func TestDeadWorkerLosesTheLease(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 2, bodyConfig)
	p.workers[0].tick()
	require.Len(t, p.asked, 1)
	// Its VM traps: it neither ticks nor answers again.
	dead := p.sent[0].waiting[0]
	p.workers, p.sent = p.workers[1:], p.sent[1:]

	p.run(500*time.Millisecond, nil)
	require.Len(t, p.asked, 1, "the lease holds")
	p.run(time.Second, nil)
	require.Len(t, p.asked, 2, "another worker takes over")

	before := slices.Clone(p.store.value)
	dead()
	require.Equal(t, before, p.store.value, "what comes late is dropped")
}

func TestSlowAnswerKeepsTheLease(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 2, bodyConfig)
	p.workers[0].tick()
	slow := p.sent[0].waiting
	p.sent[0].waiting = nil
	p.run(p.config.request.timeout, nil)
	require.Len(t, p.asked, 1, "the worker renews its lease")
	p.sent[0].waiting = slow
	p.run(time.Second, nil)
	require.Len(t, p.asked, 1)
	_, ok := p.workers[1].token()
	require.True(t, ok)
}

// Proxies of a fleet that get a configuration at once ask within a quarter of the timeout, not at once.
func TestFirstFetchHasJitter(t *testing.T) {
	t.Parallel()
	c := configWith(t, inBody, fixed)
	require.Equal(t, asked, newRecord(c, asked, 0).next)
	require.InDelta(t, int64(asked+500), int64(newRecord(c, asked, 1<<32-1).next), 2)

	p := newProxy(t, 1, bodyConfig)
	f := p.workers[0]
	p.store.value = newRecord(c, p.now, 1<<31).encode() // 250 ms
	f.load()
	p.run(tickPeriod*time.Millisecond, nil)
	require.Empty(t, p.asked)
	require.True(t, f.isExpected(), "requests may wait for it")
	p.run(time.Second, nil)
	require.Len(t, p.asked, 1)

	p.store.value = newRecord(c, p.now, 1<<32-1).encode()
	f.load()
	p.now = p.now.add(-time.Hour)
	p.run(time.Second, nil)
	require.Len(t, p.asked, 2, "a clock that was set back does not make it wait for an hour")
}

// The interval counts from the record's token, also where that was fetched before there was an interval.
func TestIntervalThatComesLater(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 1, bodyConfig)
	p.service = p.issue(time.Hour)
	p.run(20*time.Second, nil)
	require.Len(t, p.asked, 1)
	p.config.refresh = 30 * time.Second
	p.run(11*time.Second, nil)
	require.Len(t, p.asked, 2)
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 3, bodyConfig)
	p.service = func() (answer, error) { return answer{headers: headers("429", [2]string{"retry-after", "60"})}, nil }
	p.run(10*time.Minute, nil)
	for _, gap := range p.gaps() {
		require.GreaterOrEqual(t, gap, time.Minute)
		require.LessOrEqual(t, gap, 68*time.Second)
	}
	require.GreaterOrEqual(t, len(p.asked), 9)
}

// Requests wait for a token only as long as nothing has failed.
func TestIsExpected(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 2, bodyConfig)
	f := p.workers[1]
	require.True(t, f.isExpected(), "before the first fetch")
	p.run(time.Second, nil)
	p.service = down
	p.run(20*time.Second, nil)
	_, ok := f.token()
	require.False(t, ok)
	require.False(t, f.isExpected(), "the service is down")
	p.service = p.issue(10 * time.Second)
	p.run(maxRetry, nil)
	f.token()
	require.True(t, f.isExpected(), "it is back")
}

func TestOneCalloutInFlight(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 1, bodyConfig)
	p.workers[0].tick()
	p.now = p.now.add(time.Hour)
	p.workers[0].tick()
	require.Len(t, p.asked, 1, "the lease ran out, but the answer is still to come")
}

func TestClockSetBack(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 2, bodyConfig)
	p.run(time.Second, nil)
	p.now = p.now.add(-time.Hour)
	for _, f := range p.workers {
		_, ok := f.token()
		require.False(t, ok, "its expiry means nothing now")
	}
	p.run(500*time.Millisecond, nil)
	require.Len(t, p.asked, 2)
	_, ok := p.workers[1].token()
	require.True(t, ok)
}

func TestClockSetForward(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 2, bodyConfig)
	p.run(time.Second, nil)
	p.service = down
	p.now = p.now.add(time.Hour)
	_, ok := p.workers[0].token()
	require.False(t, ok)
}

func TestLostRaces(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 1, bodyConfig)
	f := p.workers[0]

	racing := &racingStore{casStore: p.store, losses: 1}
	f.store = racing
	f.tick()
	require.Empty(t, p.asked, "no lease, no fetch")

	f.tick()
	require.Len(t, p.asked, 1)
	racing.losses = 2
	p.sent[0].waiting[0]()
	_, ok := f.token()
	require.True(t, ok, "the third attempt to write the token down")
}

// racingStore loses some swaps to another worker that writes the same record.
type racingStore struct {
	*casStore
	losses int
}

func (s *racingStore) swap(value []byte, cas uint32) error {
	if s.losses > 0 {
		s.losses--
		s.cas++
	}
	return s.casStore.swap(value, cas)
}

func TestBrokenStore(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 1, bodyConfig)
	f := p.workers[0]
	f.store = brokenStore{}
	f.tick()
	_, ok := f.token()
	require.False(t, ok)
	require.Empty(t, p.asked)
}

type brokenStore struct{}

func (brokenStore) load() ([]byte, uint32, error) { return nil, 0, errors.New("internal failure") }
func (brokenStore) swap([]byte, uint32) error     { return errors.New("internal failure") }

func TestForeignBytesInTheStore(t *testing.T) {
	t.Parallel()
	p := newProxy(t, 2, bodyConfig)
	p.store.value = []byte("what another filter wrote")
	p.run(time.Second, nil)
	_, ok := p.workers[1].token()
	require.True(t, ok)
}
