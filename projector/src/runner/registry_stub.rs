pub(super) enum Lookup { Fetched(String), UnknownId, Unavailable { reason: String } }
pub(super) struct Registry;
impl Registry {
    pub(super) fn new(_: &str) -> Self { Self }
    pub(super) async fn look_up(&self, _: u32) -> Lookup { Lookup::UnknownId }
}
