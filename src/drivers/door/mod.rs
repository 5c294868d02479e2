//! Door boards: each drives strikes on a warrant, and says its inputs.

pub mod modbus;
