//! Sets one response header. The configuration is the name, a space and the value.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};
use std::rc::Rc;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Plugin { header: Rc::new((String::new(), String::new())) }));
}}

struct Plugin {
    header: Rc<(String, String)>,
}

impl Context for Plugin {}

impl RootContext for Plugin {
    fn on_configure(&mut self, _size: usize) -> bool {
        let bytes = self.get_plugin_configuration().unwrap_or_default();
        let Ok(text) = String::from_utf8(bytes) else { return false };
        let Some((name, value)) = text.split_once(' ') else { return false };
        self.header = Rc::new((name.to_string(), value.to_string()));
        true
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter { header: Rc::clone(&self.header) }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Filter {
    header: Rc<(String, String)>,
}

impl Context for Filter {}

impl HttpContext for Filter {
    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.set_http_response_header(&self.header.0, Some(&self.header.1));
        Action::Continue
    }
}
