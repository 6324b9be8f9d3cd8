//! What sessions are supposed to do, over plain maps.

use std::collections::{BTreeMap, BTreeSet};

use sessile_core::{Granularity, MemoryRecord};
