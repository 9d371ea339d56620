//! Machines that artifacts are made for.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Terms;

/// What costs are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// Instructions.
    Instructions,
}

impl Unit {
    /// Name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Ns => "ns",
            Unit::Instructions => "instructions",
        }
    }
}

/// A machine: how kernels run on it and what each part of their work costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Name in reports.
    pub name: String,
    /// Where the costs are from.
    pub source: String,
    /// What costs are counted in.
    pub unit: Unit,
    /// Whether weights are expanded at load, as [`Prepared`](tfc_runtime::Prepared) does; otherwise
    /// they are read as they are stored.
    pub prepares: bool,
    /// f32 of a vector.
    pub lanes: usize,
    /// Vectors of the longest tile of a convolution, for blocks of 1, 2 and 4 output channels.
    pub tiles: [usize; 3],
    /// Cost of each part of the work.
    pub costs: Terms,
}

/// The tables that come with the program.
const BUILT_IN: [&str; 10] = [
    include_str!("targets/x86-64-v4.toml"),
    include_str!("targets/x86-64-v3.toml"),
    include_str!("targets/aarch64-a72.toml"),
    include_str!("targets/aarch64-a76.toml"),
    include_str!("targets/cortex-m0.toml"),
    include_str!("targets/cortex-m4.toml"),
    include_str!("targets/cortex-m7.toml"),
    include_str!("targets/cortex-m33.toml"),
    include_str!("targets/cortex-m55.toml"),
    include_str!("targets/generic.toml"),
];

/// Why there is no such target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Neither a name nor a file.
    #[error(
        "target `{name}` is neither a file nor known; known are {known}, and `tfc tune -o FILE` writes files"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names, with commas.
        known: String,
    },
    /// A file cannot be read.
    #[error("target {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// A table is not one.
    #[error("target {0}: {1}; `tfc tune -o FILE` writes such tables")]
    Invalid(String, String),
}

impl Target {
    /// The targets that come with the program.
    pub fn built_in() -> impl Iterator<Item = Self> {
        BUILT_IN.into_iter().filter_map(|text| Self::parse(text).ok())
    }

    /// A target by its name, or by the file that has its table.
    pub fn find(name: &str) -> Result<Self, TargetError> {
        if let Some(target) = Self::built_in().find(|target| target.name == name) {
            return Ok(target);
        }
        if !Path::new(name).exists() {
            let known: Vec<String> = Self::built_in().map(|target| target.name).collect();
            return Err(TargetError::Unknown { name: name.to_owned(), known: known.join(", ") });
        }
        let text = std::fs::read_to_string(name)
            .map_err(|error| TargetError::Unreadable { path: name.to_owned(), reason: error.to_string() })?;
        Self::parse(&text).map_err(|reason| TargetError::Invalid(name.to_owned(), reason))
    }

    /// From a TOML table; an error is one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let target: Self = toml::from_str(text).map_err(|error| error.message().replace('\n', " "))?;
        let costs = target.costs.to_array();
        let wrong = costs.iter().position(|cost| !(cost.is_finite() && *cost >= 0.0));
        if let Some(at) = wrong {
            return Err(format!("cost {} is {}; it must be 0 or more", Terms::ABOUT[at].0, costs[at]));
        }
        if target.lanes == 0 || target.tiles.contains(&0) {
            return Err("lanes and tiles must be 1 or more".to_owned());
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tables_parse_and_come_back() {
        let names: Vec<String> = Target::built_in().map(|target| target.name).collect();
        assert_eq!(names.len(), BUILT_IN.len());
        for target in Target::built_in() {
            assert_eq!(Target::find(&target.name).unwrap(), target);
            assert_eq!(Target::parse(&toml::to_string(&target).unwrap()).unwrap(), target);
            assert!(!target.source.is_empty(), "{}", target.name);
        }
    }

    #[test]
    fn faults_are_named() {
        let unknown = Target::find("pdp-11").unwrap_err().to_string();
        assert!(unknown.contains("x86-64-v4, x86-64-v3, aarch64-a72"), "{unknown}");
        let text = BUILT_IN[0].replace("lanes = 16", "lanes = 0");
        assert!(Target::parse(&text).unwrap_err().contains("lanes"));
        let text = BUILT_IN[0].replace("[costs]", "[costs]\nspeed = 3.0");
        assert!(Target::parse(&text).unwrap_err().contains("speed"));
        let mut target = Target::parse(BUILT_IN[0]).unwrap();
        target.costs.copy = -1.0;
        assert!(Target::parse(&toml::to_string(&target).unwrap()).unwrap_err().contains("copy is -1"));
    }
}
