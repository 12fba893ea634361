//! The memory store passes the suite that every engine must pass.

staso_store::conformance_suite!(staso_store::conformance::MemoryFactory::default());
