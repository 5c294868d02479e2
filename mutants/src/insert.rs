//! A file's mutants, each at the place it is listed for.

use std::collections::BTreeMap;

use proc_macro2::LineColumn;
use quote::ToTokens;
use syn::{
    Arm, BinOp, Block, Expr, ExprBinary, ExprStruct, File, ImplItemConst, ImplItemFn, ItemConst, ItemFn,
    ItemStatic, TraitItemFn, UnOp, parse_quote, parse_str,
    spanned::Spanned as _,
    visit_mut::{self, VisitMut},
};

#[derive(Debug)]
pub struct Wanted {
    pub number: u32,
    pub genre: String,
    pub replacement: String,
    /// From 1, as cargo-mutants counts them.
    pub line: usize,
    pub column: usize,
}

#[derive(Debug)]
pub struct Inserting {
    wanted: Vec<Wanted>,
    outcomes: BTreeMap<u32, &'static str>,
}

impl Inserting {
    pub fn of(wanted: Vec<Wanted>) -> Self {
        let outcomes = wanted.iter().map(|one| (one.number, "not_found")).collect();
        Inserting { wanted, outcomes }
    }

    pub fn carry_out(&mut self, file: &mut File) {
        self.visit_file_mut(file);
    }

    /// `written`, or why not.
    pub fn outcomes(self) -> impl Iterator<Item = (u32, &'static str)> {
        self.outcomes.into_iter()
    }

    /// The mutants of a kind at a place: their numbers and replacements.
    fn here(&mut self, genre: &str, at: LineColumn, outcome: &'static str) -> Vec<(u32, String)> {
        let is_here =
            |one: &&Wanted| one.genre == genre && (one.line, one.column) == (at.line, at.column + 1);
        let found: Vec<_> =
            self.wanted.iter().filter(is_here).map(|one| (one.number, one.replacement.clone())).collect();
        for (number, _) in &found {
            self.outcomes.insert(*number, outcome);
        }
        found
    }

    fn binary(&mut self, original: &ExprBinary, expr: &mut Expr) {
        let (left, right) = (&original.left, &original.right);
        // In `if let … && …` the operator can't be another one.
        let outcome = if has_let(left) || has_let(right) { "does_not_compile" } else { "written" };
        let found = self.here("BinaryOperator", original.op.span().start(), outcome);
        if outcome != "written" {
            return;
        }
        let others = found.iter().filter_map(|(number, replacement)| {
            let op: BinOp = parse_str(replacement).ok()?;
            let arm: Arm = parse_quote!(#number => (#left) #op (#right),);
            Some(arm)
        });
        switched(expr, others.collect());
    }

    fn unary(&mut self, op: &UnOp, inner: &Expr, expr: &mut Expr) {
        let found = self.here("UnaryOperator", op.span().start(), "written");
        let arm = |(number, _): &(u32, String)| -> Arm { parse_quote!(#number => (#inner),) };
        switched(expr, found.iter().map(arm).collect());
    }

    fn arms(&mut self, originals: &[Arm], arms: &mut [Arm]) {
        for (original, arm) in originals.iter().zip(arms) {
            let start = original.span().start();
            if let (Some((_, original)), Some((_, guard))) = (&original.guard, &mut arm.guard) {
                let found = self.here("MatchArmGuard", original.span().start(), "written");
                let other = |(number, replacement): &(u32, String)| -> Option<Arm> {
                    let value: Expr = parse_str(replacement).ok()?;
                    Some(parse_quote!(#number => #value,))
                };
                switched(guard, found.iter().filter_map(other).collect());
            }
            for (number, _) in self.here("MatchArm", start, "written") {
                let guard: Expr = match &arm.guard {
                    Some((_, guard)) => parse_quote!(crate::mutants::active() != #number && (#guard)),
                    None => parse_quote!(crate::mutants::active() != #number),
                };
                arm.guard = Some((parse_quote!(if), Box::new(guard)));
            }
        }
    }

    /// A field that is left out is the one of `..rest`.
    fn fields(&mut self, expr: &mut ExprStruct) {
        let Some(rest) = expr.rest.clone() else { return };
        for field in &mut expr.fields {
            for (number, _) in self.here("StructField", field.span().start(), "written") {
                let (member, value) = (&field.member, &field.expr);
                let value: Expr = parse_quote!(match crate::mutants::active() {
                    #number => (#rest).#member,
                    _ => #value,
                });
                field.colon_token = Some(parse_quote!(:));
                field.expr = value;
            }
        }
    }

    /// A function's body, and where it began before anything was written into it.
    fn body(&mut self, start: Option<LineColumn>, block: &mut Block) {
        let Some(start) = start else { return };
        for (number, replacement) in self.here("FnValue", start, "written") {
            let Ok(value) = parse_str::<Expr>(&replacement) else { continue };
            block.stmts.insert(0, parse_quote!(if crate::mutants::active() == #number { return #value; }));
        }
    }

    /// What is computed by the compiler can't ask.
    fn constant(&mut self, item: &impl ToTokens) {
        let (start, end) = (item.span().start(), item.span().end());
        for one in &self.wanted {
            let at = LineColumn { line: one.line, column: one.column - 1 };
            if start <= at && at <= end {
                self.outcomes.insert(one.number, "constant");
            }
        }
    }
}

/// One of the others if it is switched on, else the expression itself.
fn switched(expr: &mut Expr, others: Vec<Arm>) {
    if !others.is_empty() {
        *expr = parse_quote!((match crate::mutants::active() { #(#others)* _ => #expr }));
    }
}

fn beginning(block: &Block) -> Option<LineColumn> {
    Some(block.stmts.first()?.span().start())
}

fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

impl VisitMut for Inserting {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        let original = expr.clone();
        // Its parts first: only one mutant is switched on at a time, so in the others they stay as they are.
        visit_mut::visit_expr_mut(self, expr);
        match &original {
            Expr::Binary(binary) => self.binary(binary, expr),
            Expr::Unary(unary) => self.unary(&unary.op, &unary.expr, expr),
            _ => {}
        }
        match (&original, expr) {
            (Expr::Match(original), Expr::Match(matching)) => self.arms(&original.arms, &mut matching.arms),
            (_, Expr::Struct(one)) => self.fields(one),
            _ => {}
        }
    }

    fn visit_item_fn_mut(&mut self, item: &mut ItemFn) {
        if item.sig.constness.is_some() {
            return self.constant(item);
        }
        let start = beginning(&item.block);
        visit_mut::visit_item_fn_mut(self, item);
        self.body(start, &mut item.block);
    }

    fn visit_impl_item_fn_mut(&mut self, item: &mut ImplItemFn) {
        if item.sig.constness.is_some() {
            return self.constant(item);
        }
        let start = beginning(&item.block);
        visit_mut::visit_impl_item_fn_mut(self, item);
        self.body(start, &mut item.block);
    }

    fn visit_trait_item_fn_mut(&mut self, item: &mut TraitItemFn) {
        let start = item.default.as_ref().and_then(beginning);
        visit_mut::visit_trait_item_fn_mut(self, item);
        if let Some(block) = &mut item.default {
            self.body(start, block);
        }
    }

    fn visit_item_const_mut(&mut self, item: &mut ItemConst) {
        self.constant(item);
    }

    fn visit_impl_item_const_mut(&mut self, item: &mut ImplItemConst) {
        self.constant(item);
    }

    fn visit_item_static_mut(&mut self, item: &mut ItemStatic) {
        self.constant(item);
    }
}
