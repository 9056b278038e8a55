//! The paths of a release and what can be done at each.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;

use super::schema::{Kind, Property, Schema};

/// Placeholders that can stand for several segments: Proxmox takes the slashes of a volume id as they are.
const OPEN_ENDED: &[&str] = &["volume", "cidr"];

/// The API of one release.
#[derive(Debug)]
pub struct Description {
    release: String,
    root: Branch,
    operations: usize,
}

/// A path, and what can be done there.
#[derive(Debug)]
pub struct Place {
    path: String,
    operations: Vec<Operation>,
}

/// One method of one path.
#[derive(Debug)]
pub struct Operation {
    /// GET, POST, PUT or DELETE.
    pub method: Method,
    /// The path with its placeholders, such as `/nodes/{node}/qemu`.
    pub path: String,
    /// The parameters, those in the path included, as an object.
    pub parameters: Arc<Schema>,
    /// The payload of the answer.
    pub returns: Arc<Schema>,
}

/// A place that a request leads to.
#[derive(Debug)]
pub struct Found<'a> {
    /// The place.
    pub place: &'a Place,
    /// The placeholders and what stands for them, in the order of the path.
    pub variables: Vec<(&'a str, String)>,
}

#[derive(Debug, Default)]
struct Branch {
    fixed: BTreeMap<String, Branch>,
    variable: Option<(String, Box<Branch>)>,
    place: Option<Place>,
}

impl Description {
    /// A description of `release` with `operations`; of two for the same method and path the last one counts.
    pub(super) fn new(release: String, operations: Vec<Operation>) -> Self {
        let mut root = Branch::default();
        for operation in operations {
            root.insert(operation);
        }
        let operations = root.places().map(|place| place.operations.len()).sum();
        Self {
            release,
            root,
            operations,
        }
    }

    /// The release, such as `9.2`.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// How many operations there are.
    pub const fn len(&self) -> usize {
        self.operations
    }

    /// Whether nothing at all is described.
    pub const fn is_empty(&self) -> bool {
        self.operations == 0
    }

    /// The place at `segments`, each taken as one part of the path whatever it holds. Fixed parts win over placeholders.
    pub fn find(&self, segments: &[String]) -> Option<Found<'_>> {
        let mut variables = Vec::new();
        let place = self.root.find(segments, &mut variables)?;
        Some(Found { place, variables })
    }

    /// Every place, ordered by path.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.root.places()
    }

    /// Every operation, ordered by path.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.places().flat_map(Place::operations)
    }
}

impl Place {
    /// The path with its placeholders.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What can be done here, in the order GET, POST, PUT, DELETE.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter()
    }

    /// What `method` does here.
    pub fn operation(&self, method: &Method) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.method == *method)
    }
}

impl Operation {
    /// The placeholders of the path, in its order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter_map(variable)
    }

    /// Whether `name` stands in the path.
    pub fn is_in_path(&self, name: &str) -> bool {
        self.variables().any(|variable| variable == name)
    }

    /// Whether nothing is changed by it.
    pub fn is_read(&self) -> bool {
        self.method == Method::GET
    }

    /// Its name, such as `get_nodes_node_qemu`.
    pub fn id(&self) -> String {
        let words = self
            .path
            .split(['/', '{', '}', '-', '.'])
            .filter(|word| !word.is_empty());
        let mut id = self.method.as_str().to_ascii_lowercase();
        for word in words {
            id.push('_');
            id.push_str(word);
        }
        id
    }
}

/// The name of a placeholder segment.
pub(super) fn variable(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn rank(method: &Method) -> u8 {
    match *method {
        Method::GET => 0,
        Method::POST => 1,
        Method::PUT => 2,
        _ => 3,
    }
}

impl Branch {
    fn insert(&mut self, operation: Operation) {
        let mut branch = self;
        for segment in operation.path.split('/').filter(|segment| !segment.is_empty()) {
            branch = match variable(segment) {
                Some(name) => {
                    &mut branch
                        .variable
                        .get_or_insert_with(|| (name.to_owned(), Box::default()))
                        .1
                }
                None => branch.fixed.entry(segment.to_owned()).or_default(),
            };
        }
        let place = branch.place.get_or_insert_with(|| Place {
            path: operation.path.clone(),
            operations: Vec::new(),
        });
        place.operations.retain(|known| known.method != operation.method);
        place.operations.push(operation);
        place.operations.sort_by_key(|operation| rank(&operation.method));
    }

    fn find<'a>(&'a self, segments: &[String], variables: &mut Vec<(&'a str, String)>) -> Option<&'a Place> {
        let Some((first, rest)) = segments.split_first() else {
            return self.place.as_ref();
        };
        if let Some(place) = self.fixed.get(first).and_then(|branch| branch.find(rest, variables)) {
            return Some(place);
        }
        let (name, branch) = self.variable.as_ref()?;
        let depth = variables.len();
        variables.push((name, first.clone()));
        if let Some(place) = branch.find(rest, variables) {
            return Some(place);
        }
        variables.truncate(depth);
        let is_open_ended = OPEN_ENDED.contains(&name.as_str()) && branch.place.is_some();
        is_open_ended.then(|| variables.push((name, segments.join("/"))))?;
        branch.place.as_ref()
    }

    fn places(&self) -> Box<dyn Iterator<Item = &Place> + '_> {
        let fixed = self.fixed.values().flat_map(Self::places);
        let variable = self.variable.iter().flat_map(|(_, branch)| branch.places());
        Box::new(self.place.iter().chain(fixed).chain(variable))
    }
}

/// An object schema of `properties`, ordered by name.
pub(super) fn object(mut properties: Vec<Property>) -> Schema {
    properties.sort_by(|one, other| one.name.cmp(&other.name));
    Schema {
        kind: Kind::Object,
        properties,
        ..Schema::default()
    }
}
