//! How an answer is judged, and how that is shown: a colour and a shape, so that nobody needs to tell colours apart.

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// A fix near the truth.
    Right,
    /// A fix elsewhere.
    Wrong,
    /// Several places of mapped ground.
    Ambiguous,
    /// No position for mapped ground.
    NoFix,
    /// A fix for a frame that cannot have one.
    FalseFix,
    /// No position for a frame that cannot have one: as it should be.
    Refused,
    /// On the edge of the map, not judged.
    Edge,
    /// No answer: a newer frame took its place.
    Replaced,
    /// The answer is an error.
    Failed,
}

/// How an outcome is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A filled circle.
    Disc,
    /// A filled square.
    Square,
    /// A filled square on its corner.
    Diamond,
    /// Two crossing lines.
    Cross,
    /// A circle.
    Ring,
    /// A square with nothing in it.
    Box,
    /// A small filled circle.
    Dot,
}

impl Outcome {
    /// All outcomes, in the order of the legend.
    pub(super) const ALL: [Self; 9] = [
        Self::Right,
        Self::Wrong,
        Self::Ambiguous,
        Self::NoFix,
        Self::FalseFix,
        Self::Refused,
        Self::Edge,
        Self::Replaced,
        Self::Failed,
    ];

    /// Its name in the page's markup.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Ambiguous => "ambiguous",
            Self::NoFix => "no-fix",
            Self::FalseFix => "false-fix",
            Self::Refused => "refused",
            Self::Edge => "edge",
            Self::Replaced => "replaced",
            Self::Failed => "failed",
        }
    }

    /// What the legend calls it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Right => "right fix",
            Self::Wrong => "wrong fix",
            Self::Ambiguous => "ambiguous",
            Self::NoFix => "no fix",
            Self::FalseFix => "fix, but should be none",
            Self::Refused => "rightly no fix",
            Self::Edge => "edge of the map",
            Self::Replaced => "not looked at",
            Self::Failed => "error",
        }
    }

    /// Red, green, blue: of Okabe and Ito's palette, which holds for the usual kinds of colour blindness.
    pub(super) fn colour(self) -> [u8; 3] {
        match self {
            Self::Right => [0, 114, 178],
            Self::Wrong | Self::FalseFix | Self::Failed => [213, 94, 0],
            Self::Ambiguous => [240, 228, 66],
            Self::NoFix => [204, 121, 167],
            Self::Refused => [0, 158, 115],
            Self::Edge | Self::Replaced => [120, 120, 120],
        }
    }

    /// Its mark on the map.
    pub(super) fn shape(self) -> Shape {
        match self {
            Self::Right => Shape::Disc,
            Self::Wrong => Shape::Square,
            Self::Ambiguous => Shape::Diamond,
            Self::NoFix | Self::Failed => Shape::Cross,
            Self::FalseFix => Shape::Box,
            Self::Refused => Shape::Ring,
            Self::Edge | Self::Replaced => Shape::Dot,
        }
    }
}

impl Shape {
    /// All shapes.
    pub(super) const ALL: [Self; 7] =
        [Self::Disc, Self::Square, Self::Diamond, Self::Cross, Self::Ring, Self::Box, Self::Dot];

    /// Its name in the page's markup.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Disc => "disc",
            Self::Square => "square",
            Self::Diamond => "diamond",
            Self::Cross => "cross",
            Self::Ring => "ring",
            Self::Box => "box",
            Self::Dot => "dot",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn outcomes_of_the_same_colour_have_other_shapes_and_names() {
        let looks: BTreeSet<_> = Outcome::ALL.map(|outcome| (outcome.colour(), outcome.shape().name())).into();
        // The edge and what was not looked at are alike: neither is judged.
        assert_eq!(looks.len(), Outcome::ALL.len() - 1);
        assert_eq!(BTreeSet::from(Outcome::ALL.map(Outcome::name)).len(), Outcome::ALL.len());
        assert_eq!(BTreeSet::from(Shape::ALL.map(Shape::name)).len(), Shape::ALL.len());
    }
}
