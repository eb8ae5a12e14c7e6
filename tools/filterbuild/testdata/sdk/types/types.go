// Package types has the contexts.
package types

type Action uint32

const (
	ActionContinue Action = 0
	ActionPause    Action = 1
)

type VMContext interface {
	NewPluginContext(id uint32) PluginContext
}

type PluginContext interface {
	OnPluginDone() bool
	OnTick()
	NewHttpContext(id uint32) HttpContext
}

type HttpContext interface {
	OnHttpRequestHeaders(n int, end bool) Action
	OnHttpStreamDone()
}

type (
	DefaultVMContext     struct{}
	DefaultPluginContext struct{}
	DefaultHttpContext   struct{}
)

func (*DefaultVMContext) NewPluginContext(uint32) PluginContext   { return &DefaultPluginContext{} }
func (*DefaultPluginContext) OnPluginDone() bool                  { return true }
func (*DefaultPluginContext) OnTick()                             {}
func (*DefaultPluginContext) NewHttpContext(uint32) HttpContext   { return nil }
func (*DefaultHttpContext) OnHttpRequestHeaders(int, bool) Action { return ActionContinue }
func (*DefaultHttpContext) OnHttpStreamDone()                     {}
