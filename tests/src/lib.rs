//! What the demonstration and the tests share: the lab of network namespaces, captures, packets.
