//! What makes a gateway work for models: long silences, streams, the Host that the upstream takes.

pub mod buffered_stream;
pub mod compressed_stream;
pub mod health_check_path;
pub mod http10_upstream;
pub mod short_read_timeout;
pub mod upstream_refuses_host;
pub mod write_timeout_cuts_streams;
